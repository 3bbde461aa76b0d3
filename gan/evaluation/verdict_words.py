"""The sentences of the verdicts of `gan.evaluation.verdict`, in English and Japanese.

The keys are the kinds of verdicts, with "/other" behind where pictures are no digits; what stands in braces
are the facts of a verdict. Both languages have the same keys, and say the same numbers.
"""

from __future__ import annotations


class Words(tuple[str, str, str, str]):
    """title, seen, measured, meaning."""

    def __new__(cls, title: str, seen: str, measured: str, meaning: str) -> Words:
        return super().__new__(cls, (title, seen, measured, meaning))

    @property
    def title(self) -> str:
        return self[0]

    @property
    def seen(self) -> str:
        return self[1]

    @property
    def measured(self) -> str:
        return self[2]

    @property
    def meaning(self) -> str:
        return self[3]


ENGLISH: dict[str, Words] = {
    "one_picture": Words(
        "One picture (total collapse)",
        "Whatever the latent vector, nearly the same picture comes out.",
        "Half of all pairs of samples differ less than {spread:.0%} as much as two real digits do; "
        "{legible:.0%} of {n:,} samples read as a digit.",
        "The generator has stopped listening to its input. Moving the sliders changes little, "
        "and that is the finding.",
    ),
    "noise": Words(
        "Noise (failed training)",
        "Few of the pictures, or none, are digits.",
        "{legible:.0%} of {n:,} samples read as a digit with 0.9 confidence; their contrast is "
        "{contrast:.0%} of that of real digits.",
        "The training had hardly begun, or it broke down; the curves tell which. More updates help the "
        "first, not the second.",
    ),
    "few_kinds": Words(
        "Few kinds (mode collapse)",
        "{present} of 10 digits appear; missing or rare: {missing}.",
        "{n:,} samples, {legible:.0%} of them legible; as varied as {effective:.1f} equally "
        "frequent digits (real test digits: 10.0).",
        "The generator found some digits that pass for real and serves those.",
    ),
    "copies": Words(
        "Copies (memorisation)",
        "Samples resemble the training images as unseen digits hardly ever do.",
        "{copied:.0%} of {copies_n:,} samples lie as close to a training image, compared with unseen "
        "ones, as only 1 % of unseen real digits do.",
        "Sharp pictures here are no proof of skill: part of the training set was learned by heart.",
    ),
    "rough": Words(
        "Rough (all digits, many unclear)",
        "All ten digits appear, but many pictures are no clear digit.",
        "{legible:.0%} of {n:,} samples read as a digit with 0.9 confidence.",
        "Between success and failure. More updates, more data or another moment of the run may be "
        "better; the curves say which.",
    ),
    "healthy": Words(
        "No collapse seen",
        "All ten digits appear and most pictures are clear.",
        "{legible:.0%} of {n:,} samples read as a digit with 0.9 confidence; as varied as "
        "{effective:.1f} equally frequent digits.",
        "{checked} of 4 kinds of failure were looked for at this sample size and not found. That is no "
        "proof that there are none.",
    ),
    "unsure": Words(
        "Not enough samples to tell",
        "{read:,} of {n:,} samples could be read.",
        "A missing digit cannot be told from a rare one below {needed} legible samples.",
        "Draw more samples before concluding anything.",
    ),
    "one_picture/other": Words(
        "One picture (total collapse)",
        "Whatever the latent vector, nearly the same picture comes out.",
        "Half of all pairs of {n:,} samples differ less than {spread:.0%} as much as two training images "
        "do; their contrast is {contrast:.0%} of that of the training images.",
        "With little contrast the training had hardly begun, or broke down. With much, the generator has "
        "stopped listening to its input.",
    ),
    "copies/other": Words(
        "Copies (memorisation)",
        "Samples resemble the training images as unseen pictures hardly ever do.",
        "{copied:.0%} of {copies_n:,} samples lie as close to a training image, compared with unseen "
        "ones, as only 1 % of unseen pictures do.",
        "Sharp pictures here are no proof of skill: part of the training set was learned by heart.",
    ),
    "not_digits": Words(
        "No total collapse seen (no digits)",
        "Different latent vectors give different pictures.",
        "Half of all pairs of {n:,} samples differ at least {spread:.0%} as much as two training images do.",
        "{checked} of 4 kinds of failure could be looked for: the classifier reads handwritten digits only, and "
        "copies are looked for among 2,000 pictures or more. How good the pictures are, the eye must say.",
    ),
}
JAPANESE: dict[str, Words] = {
    "one_picture": Words(
        "どれも同じ絵（完全な崩壊）",
        "どの潜在変数からも、ほぼ同じ絵が出ます。",
        "サンプルの組の半分は、違いが本物同士の{spread:.0%}未満です。{n:,}枚中{legible:.0%}が"
        "数字として読めました。",
        "生成器が入力を無視しています。スライダーを動かしてもほとんど変わらないこと自体が結果です。",
    ),
    "noise": Words(
        "ノイズ（学習失敗）",
        "数字になっている絵は、ほとんどないか、まったくありません。",
        "{n:,}枚中{legible:.0%}が確信度0.9で数字として読めました。コントラストは本物の{contrast:.0%}。",
        "学習がまだ始まったばかりか、途中で壊れたかです。どちらかは曲線でわかります。"
        "更新回数を増やして良くなるのは前者だけです。",
    ),
    "few_kinds": Words(
        "種類が少ない（モード崩壊）",
        "10種類中{present}種類の数字が現れます。出ない、またはまれな数字: {missing}。",
        "{n:,}枚中{legible:.0%}が読め、多様さは均等に出る数字{effective:.1f}種類分に相当します"
        "（本物のテスト画像: 10.0）。",
        "生成器は本物らしく見える一部の数字を見つけ、それだけを出しています。",
    ),
    "copies": Words(
        "コピー（丸暗記）",
        "未見の本物の数字ではまれにしか見られないほど、学習画像に似ています。",
        "{copies_n:,}枚中{copied:.0%}が、未見の本物では1%しか達しない近さで学習画像に近い"
        "（未見画像との比較で）。",
        "絵が鮮明でも実力の証拠にはなりません。学習データの一部を丸暗記しています。",
    ),
    "rough": Words(
        "粗い（全種類出るが、不鮮明な絵が多い）",
        "10種類すべて現れますが、はっきりしない絵が多くあります。",
        "{n:,}枚中{legible:.0%}が確信度0.9で数字として読めました。",
        "成功と失敗の中間です。更新回数、データ、あるいは別の時点で良くなるかもしれません。曲線が手がかりです。",
    ),
    "healthy": Words(
        "崩壊は見られない",
        "10種類すべて現れ、ほとんどの絵が鮮明です。",
        "{n:,}枚中{legible:.0%}が確信度0.9で読め、多様さは均等に出る数字{effective:.1f}種類分に相当します。",
        "このサンプル数で、失敗4種類のうち{checked}種類を調べ、見つかりませんでした。"
        "失敗がないことの証明ではありません。",
    ),
    "unsure": Words(
        "サンプル不足で判定できません",
        "{n:,}枚中{read:,}枚が読めました。",
        "読めた枚数が{needed}枚未満では、出ない数字とまれな数字を区別できません。",
        "結論の前に、もっとサンプルを描いてください。",
    ),
    "one_picture/other": Words(
        "どれも同じ絵（完全な崩壊）",
        "どの潜在変数からも、ほぼ同じ絵が出ます。",
        "{n:,}枚のサンプルの組の半分は、違いが学習画像同士の{spread:.0%}未満です。"
        "コントラストは学習画像の{contrast:.0%}。",
        "コントラストが低ければ、学習が始まったばかりか途中で壊れています。高ければ、生成器が入力を無視しています。",
    ),
    "copies/other": Words(
        "コピー（丸暗記）",
        "未見の画像ではまれにしか見られないほど、学習画像に似ています。",
        "{copies_n:,}枚中{copied:.0%}が、未見の画像では1%しか達しない近さで学習画像に近い"
        "（未見画像との比較で）。",
        "絵が鮮明でも実力の証拠にはなりません。学習データの一部を丸暗記しています。",
    ),
    "not_digits": Words(
        "完全な崩壊は見られない（数字以外の絵）",
        "潜在変数が違えば、違う絵が出ます。",
        "{n:,}枚のサンプルの組の半分は、違いが学習画像同士の{spread:.0%}以上です。",
        "失敗4種類のうち調べられたのは{checked}種類です。判定器が読めるのは手書き数字だけで、"
        "コピーは画像が2,000枚以上のときに調べます。絵の良し悪しは目で判断してください。",
    ),
}
LANGUAGES: dict[str, dict[str, Words]] = {"en": ENGLISH, "ja": JAPANESE}
