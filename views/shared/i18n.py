"""The texts of the app in English and Japanese, under the same keys.

The sentences of the verdicts are in `gan.evaluation`, because the command line prints them too.
"""

from __future__ import annotations

from typing import Any

from views.shared import words_train

LANGUAGES = ("en", "ja")

_ENGLISH: dict[str, str] = {
    "page_explore": "Explore",
    "title": "How much data does a GAN need?",
    "lead": "The same small GAN, trained on more or fewer handwritten digits (MNIST). Slide the "
    "amount of data and see what it draws.",
    "language": "Language",
    "size": "Training images",
    "size_label": "{count} images ({share})",
    "budget": "Training time",
    "budget_epochs": "20 epochs, as in the articles",
    "budget_updates": "{updates} updates for every size",
    "budget_help": "At equal epochs, 1 % of the data also gets 1 % of the updates, which mixes two "
    "causes. Equal updates separate them. Models of both kinds are here.",
    "recipe": "Recipe",
    "recipe_plain": "Plain DCGAN",
    "recipe_rescue": "Rescue (augmented)",
    "recipe_article-2018": "Network of the 2018 article",
    "recipe_help": "Rescue: the discriminator sees every image, real or generated, slightly moved, "
    "rotated or stretched, and has no BatchNorm. Both make it harder to memorize a few images.",
    "moment": "Moment of the run",
    "moment_final": "End (update {step})",
    "moment_best": "Best moment (update {step})",
    "moment_help": "This run got clearly worse later. A second classifier picked the best moment, "
    "not the digit classifier behind the figures.",
    "updates_done": "{updates} updates on {count} images",
    "grid_alt": "{n} digits drawn by the generator trained on {count} images",
    "seed": "Seed",
    "seed_help": "Image i is drawn from the latent vector of seed + i, the same for every size.",
    "download": "Download PNG",
    "legible": "Read as a digit",
    "legible_help": "Share of samples that the digit classifier reads with at least 0.9 confidence.",
    "fd": "FD to real digits",
    "fd_help": "Frechet distance in the features of our own digit classifier, to {n} real test "
    "digits. Lower is better. Not FID: that name belongs to Inception features.",
    "coverage": "Coverage",
    "coverage_help": "Share of real test digits that have a generated one among their nearest "
    "neighbours (k = 5).",
    "real_is": "real: {value}",
    "protocol": "Mean of {draws} draws of {n} samples (± spread of the draws). {seeds}",
    "one_seed": "This is a single training run; another seed may differ.",
    "many_seeds": "{seeds} training runs: FD {low} to {high}; images and figures come from the "
    "middle one.",
    "histogram": "Which digits survived?",
    "histogram_note": "Share of {n} samples read as each digit; “none”: not read with 0.9 "
    "confidence. Real: the digit classifier's reading of {real_n} test digits.",
    "histogram_alt": "Bar chart: share of each digit among generated and real images",
    "real": "real",
    "generated": "generated",
    "none": "none",
    "share_axis": "share of images",
    "latents_title": "Move the latent vector",
    "latents_note": "Each row is one latent vector z, the same for every data size. The plane and "
    "the sliders move all of them along the directions that change this model's images most, live "
    "in your browser. Click an image to see the nearest real ones.",
    "pad_not_served": "The live images cannot be served; the server draws instead.",
    "pad_server_note": "The server draws these images after each move.",
    "server_switch": "Draw on the server instead",
    "server_switch_help": "Use this if the pad stays empty, or to avoid downloading 2 MB per "
    "model. The images then change when you release a slider.",
    "near_none": "The nearest real images cannot be shown. {reason}",
    "near_words": "Pixel distance {training[distance]} to the nearest of {training[searched]} training images, "
    "{unseen[distance]} to the nearest of {unseen[searched]} unseen real ones.",
    "near_usual": "Of {n} other unseen real images, {count} lie as near to a training image. If "
    "only a few do, this is probably a copy.",
    "near_waiting": "Measuring how near unseen real images lie…",
    "direction": "Direction {k}",
    "direction_help": "In standard deviations of z. One unit changes the pixels by {strength:.2f} "
    "(root mean square; black to white is 2).",
    "reset": "Back to the middle",
    "raw": "Raw components of z",
    "raw_note": "A single component has no meaning of its own; the directions above mix all of them.",
    "raw_axes": "Components to move",
    "raw_axis": "z[{axis}]",
    "first_digit": "First latent, enlarged. The digit classifier reads {digit} ({confidence:.0%} "
    "sure).",
    "first_digit_alt": "The first latent drawn by this model, read as {digit}",
    "collapsed_note": "Hardly anything moves: this generator ignores its latent vector. The "
    "sliders work; this is the finding.",
    "same_z_alt": "{n} latents drawn after training on {count} images",
    "articles_title": "What the articles say, and what we measured",
    "article": "Article",
    "nothing_claimed": "Neither article trained on this amount.",
    "measured_epochs": "Measured, plain DCGAN, 20 epochs",
    "measured_updates": "Measured, plain DCGAN, equal updates",
    "measured_cell": "{legible:.0%} legible, FD {fd:.1f}. {verdict}",
    "measured_best": "At its best moment (update {step}): {legible:.0%} legible, FD {fd:.1f}.",
    "not_trained": "not trained here",
    "articles_note": "The articles trained for a fixed number of epochs, one run per size, and "
    "judged by eye; their networks differ from ours. 20 epochs of 200 images are only 60 updates: "
    "the right column shows how much of the effect is missing data rather than missing training. "
    "Our figures are means of 5 draws of 2,000 samples of one run; the seed table below shows how "
    "much runs differ.",
    "amounts_title": "More data, or another recipe?",
    "amounts_note": "Every amount of data, trained with {budget}: distance to real digits at the "
    "end of training (log scales). A point is the middle run, a bar the range of its seeds; a "
    "single run has no bar. Dashed: unseen real digits. About 85 means that nothing is read as a "
    "digit.",
    "amounts_missing": "Not trained yet: {cells} images.",
    "amounts_alt": "Chart: distance to real digits by amount of data, a line for each recipe",
    "amounts_axis": "training images",
    "amounts_word_epochs": "20 epochs",
    "amounts_word_updates": "equal updates",
    "crossing": "**{better}** is ahead up to {low} images, **{other}** from {high} on (the middle "
    "runs).",
    "curves_title": "How the training went",
    "loss_note": "A GAN's loss does not measure quality. It shows who is ahead, generator or "
    "discriminator. The distance to real digits measures the images.",
    "prob_note": "Mean probability of being real. Where unseen real digits fall below the training "
    "digits, the discriminator has memorized its training images.",
    "fd_chart_note": "Frechet distance in the features of a second classifier (“monitor”), 1,000 "
    "samples each. Dashed: 1,000 unseen real digits. Logarithmic.",
    "film_title": "The same 16 latents during training",
    "film_step": "Updates so far",
    "film_note": "Images of the generator with averaged weights after so many updates, always from "
    "the same latents.",
    "film_alt": "16 latents after {step} updates",
    "details": "Where this model comes from",
    "seed_table": "All training seeds of this setting",
    "link_problem": "The link has {problems}, which cannot be used here; the default is shown instead.",
    "no_zoo": "The trained models are missing.",
    "broken_model": "This model cannot be shown. The others can.",
    "broken_evidence": "The curves of this run cannot be shown.",
    "method_link": "docs/METHOD.md in the repository explains every number here.",
}
_JAPANESE: dict[str, str] = {
    "page_explore": "探索",
    "title": "GANに必要な学習データ量は？",
    "lead": "同じ小さなGANを、手書き数字（MNIST）の枚数だけを変えて学習させました。スライダーで学習"
    "データ量を変え、生成される数字の違いを見てください。",
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
    "recipe_help": "救済: 識別器には、本物も生成画像も少しずらし、回し、伸縮させて見せます。識別器"
    "のBatchNormも外し、少ない画像を丸暗記しにくくしています。",
    "moment": "学習のどの時点か",
    "moment_final": "最後（更新{step}回）",
    "moment_best": "最良の時点（更新{step}回）",
    "moment_help": "この学習は後で明らかに悪化しました。最良の時点は、数値を出す数字分類器とは別の"
    "分類器で選んでいます。",
    "updates_done": "{count}枚で{updates}回更新",
    "grid_alt": "{count}枚で学習した生成器による{n}個の数字",
    "seed": "シード",
    "seed_help": "i番目の画像はシード+iの潜在変数から生成され、どの学習データ量でも同じ潜在変数です。",
    "download": "PNGを保存",
    "legible": "読めた割合",
    "legible_help": "数字分類器が確信度0.9以上で数字と読んだサンプルの割合。",
    "fd": "本物との距離 FD",
    "fd_help": "自前の数字分類器の特徴量でのフレシェ距離。本物のテスト画像{n}枚との比較で、小さいほど良い。"
    "Inception特徴量によるFIDではありません。",
    "coverage": "カバレッジ",
    "coverage_help": "本物のテスト画像のうち、近傍（k = 5）に生成画像があるものの割合。",
    "real_is": "本物: {value}",
    "protocol": "{n}枚ずつ{draws}回の平均（±は回ごとのばらつき）。{seeds}",
    "one_seed": "学習は1回だけです。別のシードでは結果が変わることがあります。",
    "many_seeds": "学習{seeds}回: FDは{low}〜{high}。画像と数値はFDが中央値の回のものです。",
    "histogram": "どの数字が生き残ったか",
    "histogram_note": "{n}枚のサンプルのうち各数字と読まれた割合。「読めず」は確信度0.9で読めなかっ"
    "たもの。本物は数字分類器がテスト画像{real_n}枚を読んだ結果。",
    "histogram_alt": "棒グラフ: 生成画像と本物での各数字の割合",
    "real": "本物",
    "generated": "生成（偽物）",
    "none": "読めず",
    "share_axis": "画像の割合",
    "latents_title": "潜在変数を動かす",
    "latents_note": "各行が一つの潜在変数 z で、どの学習データ量でも同じものです。平面とスライダー"
    "は、このモデルの画像を最も大きく変える方向に、すべての z をブラウザー内で即座に動かします。画"
    "像をクリックすると、最も近い本物の画像を表示します。",
    "pad_not_served": "ライブ画像を配信できないため、サーバーで生成した画像を表示します。",
    "pad_server_note": "動かすたびに、サーバーが画像を生成します。",
    "server_switch": "サーバーで生成する",
    "server_switch_help": "ライブ表示が空のままのとき、またはモデル1個あたり2MBのダウンロードを避け"
    "たいときに使います。スライダーを離すと画像が変わります。",
    "near_none": "最も近い本物の画像は表示できません。{reason}",
    "near_words": "画素の距離: 学習画像{training[searched]}枚のうち最も近いものまで{training[distance]}、"
    "未見の本物{unseen[searched]}枚のうち最も近いものまで{unseen[distance]}。",
    "near_usual": "別の未見の本物{n}枚のうち、同じくらい学習画像に近いものは{count}枚です。ごく少な"
    "ければ、コピーと考えられます。",
    "near_waiting": "未見の本物がどれくらい近いかを調べています…",
    "direction": "方向{k}",
    "direction_help": "単位は z の標準偏差。1動かすと画素値が平均（二乗平均平方根）で{strength:.2f}"
    "変わります（黒から白までが2）。",
    "reset": "中央に戻す",
    "raw": "z の各成分",
    "raw_note": "一つの成分だけに意味はありません。上の方向は全成分の混合です。",
    "raw_axes": "動かす成分",
    "raw_axis": "z[{axis}]",
    "first_digit": "最初の潜在変数の拡大図。数字分類器の読み: {digit}（確信度{confidence:.0%}）",
    "first_digit_alt": "最初の潜在変数から生成した画像。{digit}と読まれた",
    "collapsed_note": "ほとんど動きません。この生成器は潜在変数を無視しています。スライダーの故障ではなく、"
    "これが結果です。",
    "same_z_alt": "{count}枚で学習した生成器が、同じ{n}個の潜在変数から生成した画像",
    "articles_title": "記事の記述と、ここでの測定結果",
    "article": "記事",
    "nothing_claimed": "この学習データ量を扱った記事はありません。",
    "measured_epochs": "測定（通常のDCGAN、20エポック）",
    "measured_updates": "測定（通常のDCGAN、更新回数をそろえた場合）",
    "measured_cell": "数字として読めた割合{legible:.0%}、FD {fd:.1f}。{verdict}",
    "measured_best": "最良の時点（更新{step}回）: 数字として読めた割合{legible:.0%}、FD {fd:.1f}。",
    "not_trained": "この条件のモデルはまだありません。",
    "articles_note": "記事はエポック数を固定し、1回の学習を目で見て判断しています。ネットワークもここのものとは"
    "異なります。200枚の20エポックは更新60回にすぎません。右の列を見ると、データ不足と学習不足を"
    "区別できます。ここの数値は1回の学習について2,000枚ずつ5回の平均です。学習ごとの差は下のシード表にあります。",
    "amounts_title": "データを増やすか、レシピを変えるか",
    "amounts_note": "{budget}で学習した場合の、学習データ量ごとの本物との距離（最後の時点、両対数）"
    "。点は中央の回、棒はシードによる範囲で、1回だけの場合は棒がありません。破線は未見の本物。約85"
    "は一枚も数字として読めないことを意味します。",
    "amounts_missing": "未学習の条件: {cells}枚。",
    "amounts_alt": "グラフ: 学習データ量ごとの本物との距離。線はレシピごと",
    "amounts_axis": "学習データ量（枚）",
    "amounts_word_epochs": "20エポック",
    "amounts_word_updates": "同じ更新回数",
    "crossing": "{low}枚までは**{better}**、{high}枚からは**{other}**が上回ります（中央の回どうしの"
    "比較）。",
    "curves_title": "学習の経過",
    "loss_note": "GANの損失は画質を表しません。生成器と識別器のどちらが優勢かを示すだけです。画質は"
    "「本物の数字との距離」のグラフで見てください。",
    "prob_note": "本物と判断した確率の平均。未見の本物の値が学習画像の値を下回ると、識別器が学習画"
    "像を丸暗記している徴候です。",
    "fd_chart_note": "別の分類器（monitor）の特徴量でのフレシェ距離、各1,000サンプル。破線は未見の"
    "本物1,000枚。対数目盛。",
    "film_title": "同じ16個の潜在変数から生成した画像の移り変わり",
    "film_step": "ここまでの更新回数",
    "film_note": "重みを移動平均した生成器が、毎回同じ潜在変数から各時点で生成した画像です。",
    "film_alt": "{step}回更新した時点で、16個の潜在変数から生成した画像",
    "details": "このモデルの来歴",
    "seed_table": "この条件の全シード",
    "link_problem": "リンクの{problems}は使えないため、既定値を表示しています。",
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
    """The text of ``key`` with ``facts`` filled in. KeyError for an unknown key."""
    words = _TABLES[language][key]
    return words.format(**facts) if facts else words
