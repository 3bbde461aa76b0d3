"""The words of the app in English and Japanese. Keys are the same in both; a test says so.

The sentences of the verdicts live in the library, which says them without an app too.
"""

from __future__ import annotations

from typing import Any

from views.shared import words_train

LANGUAGES = ("en", "ja")

_ENGLISH: dict[str, str] = {
    "page_explore": "Explore",
    "title": "How much data does a GAN need?",
    "lead": "The same small GAN, trained on more or on fewer handwritten digits (MNIST). "
    "Slide the amount of data and see what it draws.",
    "language": "Language",
    "size": "Training images",
    "size_label": "{count} images ({share})",
    "budget": "Training time",
    "budget_epochs": "20 epochs, as in the articles",
    "budget_updates": "{updates} updates for every size",
    "budget_help": "At equal epochs, 1 % of the data also gets 1 % of the updates, so two causes are "
    "mixed. Equal updates part them. Both were trained.",
    "recipe": "Recipe",
    "recipe_plain": "Plain DCGAN",
    "recipe_rescue": "Rescue (augmented)",
    "recipe_article-2018": "Network of the 2018 article",
    "recipe_help": "Rescue: the discriminator sees every picture, real or generated, slightly moved, turned "
    "or stretched, and has no BatchNorm, so that it learns a few images by heart less easily.",
    "moment": "Moment of the run",
    "moment_final": "End (update {step})",
    "moment_best": "Best moment (update {step})",
    "moment_help": "This run got clearly worse later. The best moment was picked by a second "
    "classifier, not by the classifier that gives the figures.",
    "updates_done": "{updates} updates on {count} images",
    "grid_alt": "{n} digits drawn by the generator trained on {count} images",
    "seed": "Seed",
    "seed_help": "Picture i is drawn from the latent vector of seed + i, the same for every size.",
    "download": "Download PNG",
    "legible": "Read as a digit",
    "legible_help": "Share of samples that the classifier reads as a digit with 0.9 confidence.",
    "fd": "FD to real digits",
    "fd_help": "Frechet distance in the features of our own digit classifier, to {n} real test "
    "digits. Lower is better. Not FID: that name belongs to Inception features.",
    "coverage": "Coverage",
    "coverage_help": "Share of real test digits with a generated one among their near neighbours "
    "(k = 5).",
    "real_is": "real: {value}",
    "protocol": "Mean of {draws} draws of {n} samples (± spread of the draws). {seeds}",
    "one_seed": "One training run stands behind this; another seed may differ.",
    "many_seeds": "{seeds} training runs: FD {low} to {high}; pictures and figures of the middle one.",
    "histogram": "Which digits survived?",
    "histogram_note": "Share of {n} samples read as each digit; “none” was not read with 0.9 "
    "confidence. Real: the classifier's reading of {real_n} test digits.",
    "histogram_alt": "Bar chart: share of each digit among generated and real pictures",
    "real": "real",
    "generated": "generated",
    "none": "none",
    "share_axis": "share of pictures",
    "latents_title": "Move the latent vector",
    "latents_note": "One latent vector z per row, the same for every data size. The plane and the sliders move all "
    "of them along the directions that change the picture of this model most, live in your browser. Click a picture to "
    "see what it is nearest to.",
    "pad_not_served": "The live pictures cannot be served; the server draws instead.",
    "pad_server_note": "Drawn by the server, after each move.",
    "server_switch": "Draw on the server instead",
    "server_switch_help": "Where the pad stays empty, or to save the download of 2 MB a model. The pictures then follow when a "
    "slider is let go.",
    "near_none": "Nearest real images cannot be shown. {reason}",
    "near_words": "Pixel distance {training[distance]} to the nearest of {training[searched]} training images, "
    "{unseen[distance]} to the nearest of {unseen[searched]} unseen real ones.",
    "near_usual": "Of {n} other unseen real images {count} lie as near to a training image in comparison. Few of them "
    "would mean: a copy.",
    "near_waiting": "Looking up how near unseen real images lie …",
    "direction": "Direction {k}",
    "direction_help": "In standard deviations of z. One unit changes the pixels by {strength:.2f} "
    "(root mean square; black to white is 2).",
    "reset": "Back to the middle",
    "raw": "Raw components of z",
    "raw_note": "A single component has no meaning of its own; the directions above are mixtures of "
    "all of them.",
    "raw_axes": "Components to move",
    "raw_axis": "z[{axis}]",
    "first_digit": "First latent, enlarged. The classifier reads {digit} ({confidence:.0%} sure).",
    "first_digit_alt": "The first latent drawn by this model, read as {digit}",
    "collapsed_note": "Hardly anything moves: this generator ignores its latent vector. That is the "
    "finding, not a fault of the sliders.",
    "same_z_alt": "{n} latents drawn after training on {count} images",
    "articles_title": "What the articles say, and what was measured here",
    "article": "Article",
    "nothing_claimed": "Neither article trained on this amount.",
    "measured_epochs": "Measured, plain DCGAN, 20 epochs",
    "measured_updates": "Measured, plain DCGAN, equal updates",
    "measured_cell": "{legible:.0%} legible, FD {fd:.1f}. {verdict}",
    "measured_best": "At its best moment (update {step}): {legible:.0%} legible, FD {fd:.1f}.",
    "not_trained": "not trained here",
    "articles_note": "The articles trained for a fixed number of epochs and judged by eye, one run a "
    "size; their networks differ from ours. 20 epochs of 200 images are only 60 updates: the right "
    "column shows how much of the effect is missing data rather than missing training. Our figures: "
    "means of 5 draws of 2,000 samples of one run; how far runs differ is told by the seeds below.",
    "amounts_title": "More data, or another recipe?",
    "amounts_note": "Every amount of data, trained with {budget}: distance to real digits at the end (final "
    "model, log scales). A point is the middle run, a bar the range of its seeds; one run has no bar. "
    "Dashed: unseen real digits. About 85 means that nothing is read as a digit.",
    "amounts_missing": "Not trained yet: {cells} images.",
    "amounts_alt": "Chart: distance to real digits by amount of data, a line for each recipe",
    "amounts_axis": "training images",
    "amounts_word_epochs": "20 epochs",
    "amounts_word_updates": "equal updates",
    "crossing": "**{better}** is ahead up to {low} images, **{other}** from {high} on (the middle runs).",
    "curves_title": "How the training went",
    "loss_note": "A GAN's loss is not quality. It says how the game between the two stands; how "
    "good the pictures are, the distance to real digits says.",
    "prob_note": "Mean probability of being real. Where unseen real digits fall away from the "
    "training digits, the discriminator knows its training images by heart.",
    "fd_chart_note": "Frechet distance in the features of a second classifier (“monitor”), 1,000 "
    "samples each. Dashed: 1,000 unseen real digits. Logarithmic.",
    "film_title": "The same 16 latents during training",
    "film_step": "Updates so far",
    "film_note": "What the average of the generator drew after so many updates, always from the same "
    "latents.",
    "film_alt": "16 latents after {step} updates",
    "details": "Where this model comes from",
    "seed_table": "All training seeds of this cell",
    "link_problem": "The link asks for {problems}, which is not on offer here; the default is shown "
    "instead.",
    "no_zoo": "The trained models are not here.",
    "broken_model": "This model cannot be shown. The others can.",
    "broken_evidence": "The curves of this run cannot be shown.",
    "method_link": "Every number here is explained in docs/METHOD.md of the repository.",
}
_JAPANESE: dict[str, str] = {
    "page_explore": "探索",
    "title": "GANに必要な学習データ量は？",
    "lead": "同じ小さなGANを、手書き数字（MNIST）の枚数だけを変えて学習させました。"
    "スライダーで枚数を変え、描かれる数字の違いを見てください。",
    "language": "言語",
    "size": "学習データ量",
    "size_label": "{count}枚（{share}）",
    "budget": "学習回数のそろえ方",
    "budget_epochs": "20エポック（記事と同じ）",
    "budget_updates": "どの枚数でも{updates}回更新",
    "budget_help": "エポック数をそろえると、1%のデータでは更新回数も1%になり、二つの原因が混ざります。"
    "更新回数をそろえると切り分けられます。両方の条件で学習済みです。",
    "recipe": "学習レシピ",
    "recipe_plain": "通常のDCGAN",
    "recipe_rescue": "救済（データ拡張）",
    "recipe_article-2018": "2018年の記事のネットワーク",
    "recipe_help": "救済: 識別器には、本物も生成画像も少しずらし、回し、伸縮させて見せます。識別器のBatchNormも外し、"
    "少ない画像を丸暗記しにくくしています。",
    "moment": "学習のどの時点か",
    "moment_final": "最後（更新{step}回）",
    "moment_best": "最良の時点（更新{step}回）",
    "moment_help": "この学習は後で明らかに悪化しました。最良の時点は、数値を出す判定器とは別の分類器で選んでいます。",
    "updates_done": "{count}枚で{updates}回更新",
    "grid_alt": "{count}枚で学習した生成器が描いた{n}個の数字",
    "seed": "シード",
    "seed_help": "i番目の絵はシード+iの潜在変数から描かれ、どのデータ量でも同じです。",
    "download": "PNGを保存",
    "legible": "読めた割合",
    "legible_help": "判定器が確信度0.9以上で数字と読んだサンプルの割合。",
    "fd": "本物との距離 FD",
    "fd_help": "自前の数字分類器の特徴量でのフレシェ距離。本物のテスト画像{n}枚との比較で、小さいほど良い。"
    "Inception特徴量によるFIDではありません。",
    "coverage": "カバレッジ",
    "coverage_help": "本物のテスト画像のうち、近傍（k = 5）に生成画像があるものの割合。",
    "real_is": "本物: {value}",
    "protocol": "{n}枚ずつ{draws}回の平均（±は回ごとのばらつき）。{seeds}",
    "one_seed": "学習は1回だけです。別のシードでは結果が変わる可能性があります。",
    "many_seeds": "学習{seeds}回: FDは{low}〜{high}。絵と数値はFDが中央値の回のものです。",
    "histogram": "どの数字が生き残ったか",
    "histogram_note": "{n}枚のサンプルのうち各数字と読まれた割合。「読めず」は確信度0.9で読めなかったもの。"
    "本物は判定器がテスト画像{real_n}枚を読んだ結果。",
    "histogram_alt": "棒グラフ: 生成画像と本物での各数字の割合",
    "real": "本物",
    "generated": "生成（偽物）",
    "none": "読めず",
    "share_axis": "画像の割合",
    "latents_title": "潜在変数を動かす",
    "latents_note": "各行が一つの潜在変数 z で、どのデータ量でも同じものです。平面とスライダーは、このモデルの絵を"
    "最も大きく変える方向に、すべての z をブラウザー内で即座に動かします。絵をクリックすると、最も近い本物の画像を表示します。",
    "pad_not_served": "ライブ表示を配信できないため、サーバーが描いた絵を表示します。",
    "pad_server_note": "サーバーが、動かすたびに描いています。",
    "server_switch": "サーバーで描く",
    "server_switch_help": "ライブ表示が空のままのとき、またはモデル1個あたり2MBのダウンロードを避けたいときに使います。スライダーを離すと絵が変わります。",
    "near_none": "最も近い本物の画像は表示できません。{reason}",
    "near_words": "画素の距離: 学習画像{training[searched]}枚のうち最も近いものまで{training[distance]}、"
    "未見の本物{unseen[searched]}枚のうち最も近いものまで{unseen[distance]}。",
    "near_usual": "別の未見の本物{n}枚のうち、同じくらい学習画像に近いものは{count}枚です。これがごく少なければ、コピーと考えられます。",
    "near_waiting": "未見の本物がどれくらい近いかを調べています…",
    "direction": "方向{k}",
    "direction_help": "単位は z の標準偏差。1動かすと画素値が平均（二乗平均平方根）で{strength:.2f}変わります（黒から白までが2）。",
    "reset": "0に戻す",
    "raw": "z の各成分",
    "raw_note": "一つの成分だけに意味はありません。上の方向は全成分の混合です。",
    "raw_axes": "動かす成分",
    "raw_axis": "z[{axis}]",
    "first_digit": "最初の潜在変数の拡大図。判定器の読み: {digit}（確信度{confidence:.0%}）",
    "first_digit_alt": "最初の潜在変数から描いた絵。{digit}と読まれた",
    "collapsed_note": "ほとんど動きません。この生成器は潜在変数を無視しています。スライダーの故障ではなく、"
    "これが結果です。",
    "same_z_alt": "{count}枚で学習した生成器が、同じ{n}個の潜在変数から描いた絵",
    "articles_title": "記事の記述と、ここでの測定結果",
    "article": "記事",
    "nothing_claimed": "この枚数を扱った記事はありません。",
    "measured_epochs": "測定（通常のDCGAN、20エポック）",
    "measured_updates": "測定（通常のDCGAN、更新回数をそろえた場合）",
    "measured_cell": "数字として読めた割合{legible:.0%}、FD {fd:.1f}。{verdict}",
    "measured_best": "最良の時点（更新{step}回）: 数字として読めた割合{legible:.0%}、FD {fd:.1f}。",
    "not_trained": "この条件のモデルはまだありません。",
    "articles_note": "記事はエポック数を固定し、1回の学習を目で見て判断しています。ネットワークもここのものとは"
    "異なります。200枚の20エポックは更新60回にすぎません。右の列を見ると、データ不足と学習不足を"
    "区別できます。ここの数値は1回の学習について2,000枚ずつ5回の平均です。学習ごとの差は下のシード表にあります。",
    "amounts_title": "データを増やすか、レシピを変えるか",
    "amounts_note": "{budget}で学習した全データ量について、最後の時点の本物との距離（両対数）。点は中央の回、棒はシードによる範囲で、"
    "1回だけの場合は棒がありません。破線は未見の本物。約85は一枚も数字として読めないことを意味します。",
    "amounts_missing": "未学習の条件: {cells}枚。",
    "amounts_alt": "グラフ: データ量ごとの本物との距離。線はレシピごと",
    "amounts_axis": "学習画像の枚数",
    "amounts_word_epochs": "20エポック",
    "amounts_word_updates": "同じ更新回数",
    "crossing": "{low}枚までは**{better}**、{high}枚からは**{other}**が上回ります（中央の回どうしの比較）。",
    "curves_title": "学習の経過",
    "loss_note": "GANの損失は画質ではありません。両者の勝負の形勢を示すだけです。絵の良さは「学習中の本物との距離」のグラフが示します。",
    "prob_note": "本物と判断した確率の平均。未見の本物の値が学習画像の値を下回ると、識別器が学習画像を丸暗記している徴候です。",
    "fd_chart_note": "別の分類器（monitor）の特徴量でのフレシェ距離、各1,000サンプル。破線は未見の本物1,000枚。対数目盛。",
    "film_title": "同じ16個の潜在変数から描いた絵の移り変わり",
    "film_step": "ここまでの更新回数",
    "film_note": "重みを移動平均した生成器が、毎回同じ潜在変数から各時点で描いた絵です。",
    "film_alt": "{step}回更新した時点で、16個の潜在変数から描いた絵",
    "details": "このモデルの来歴",
    "seed_table": "この条件の全シード",
    "link_problem": "リンクで指定された{problems}は使えないため、既定値を表示しています。",
    "no_zoo": "学習済みモデルが見つかりません。",
    "broken_model": "このモデルは表示できません。他のモデルは使えます。",
    "broken_evidence": "この学習の曲線は表示できません。",
    "method_link": "すべての数値の説明はリポジトリの docs/METHOD.md にあります。",
}
_TABLES: dict[str, dict[str, str]] = {
    "en": _ENGLISH | words_train.ENGLISH,
    "ja": _JAPANESE | words_train.JAPANESE,
}


def text(language: str, key: str, **facts: Any) -> str:
    """The words under ``key``, with ``facts`` filled in. KeyError for a key that does not exist."""
    words = _TABLES[language][key]
    return words.format(**facts) if facts else words
