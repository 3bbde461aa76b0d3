"""The sentences of the verdicts of `gan.evaluation.verdict`, in English and Japanese.

A key is the kind of a verdict, with "/other" for images that are not digits. Braces contain names of
`Verdict.facts`. Both languages have the same keys and state the same numbers.
"""

from __future__ import annotations

from typing import NamedTuple


class Words(NamedTuple):
    """A title, and three sentences: what is seen, what was measured, and what it may mean."""

    title: str
    seen: str
    measured: str
    meaning: str


ENGLISH: dict[str, Words] = {
    "one_picture": Words(
        "One image (total collapse)",
        "Every latent vector gives nearly the same image.",
        "Half of all pairs of samples differ less than {spread:.0%} as much as two real digits do; "
        "{legible:.0%} of {n:,} samples are legible.",
        "The generator ignores its input, so the sliders change little.",
    ),
    "noise": Words(
        "Noise (failed training)",
        "Few or none of the images are digits.",
        "{legible:.0%} of {n:,} samples are legible (read with confidence 0.9); their contrast is "
        "{contrast:.0%} of that of real digits.",
        "The training has just begun, or it broke down; the curves show which. More updates help only "
        "in the first case.",
    ),
    "few_kinds": Words(
        "Few kinds (mode collapse)",
        "{present} of 10 digits appear; missing or rare: {missing}.",
        "{legible:.0%} of {n:,} samples are legible; effective number of digit classes: {effective:.1f} of 10.",
        "The generator found some digits that the discriminator takes for real, and draws only those.",
    ),
    "copies": Words(
        "Copies (memorisation)",
        "The samples resemble the training images more than unseen digits do.",
        "{copied:.0%} of {copies_n:,} samples are closer to a training image, relative to unseen images, "
        "than 99 % of unseen real digits are.",
        "Sharp images prove nothing here: the generator memorised part of the training set.",
    ),
    "rough": Words(
        "Rough (all digits, many unclear)",
        "All ten digits appear, but many images are not a clear digit.",
        "{legible:.0%} of {n:,} samples are legible (read with confidence 0.9).",
        "Between success and failure. More updates, more data or another moment of the run may be "
        "better; the curves give a hint.",
    ),
    "healthy": Words(
        "No collapse seen",
        "All ten digits appear, and most images are clear.",
        "{legible:.0%} of {n:,} samples are legible (read with confidence 0.9); effective number of digit "
        "classes: {effective:.1f} of 10.",
        "{checked} of 4 kinds of failure were checked with this number of samples and not found. This does "
        "not prove that there are none.",
    ),
    "unsure": Words(
        "Not enough samples to tell",
        "{read:,} of {n:,} samples are legible.",
        "With fewer than {needed} legible samples, a missing digit cannot be distinguished from a rare one.",
        "Draw more samples before you draw conclusions.",
    ),
    "one_picture/other": Words(
        "One image (total collapse)",
        "Every latent vector gives nearly the same image.",
        "Half of all pairs of {n:,} samples differ less than {spread:.0%} as much as two training images "
        "do; their contrast is {contrast:.0%} of that of the training images.",
        "If the contrast is low, the training has just begun or broke down. If it is high, the generator "
        "ignores its input.",
    ),
    "copies/other": Words(
        "Copies (memorisation)",
        "The samples resemble the training images more than unseen images do.",
        "{copied:.0%} of {copies_n:,} samples are closer to a training image, relative to unseen images, "
        "than 99 % of other unseen images are.",
        "Sharp images prove nothing here: the generator memorised part of the training set.",
    ),
    "not_digits": Words(
        "No total collapse seen (no digits)",
        "Different latent vectors give different images.",
        "Half of all pairs of {n:,} samples differ at least {spread:.0%} as much as two training images do.",
        "{checked} of 4 kinds of failure could be checked: the digit classifier reads only handwritten "
        "digits, and the check for copies needs 2,000 images or more. Judge the quality by eye.",
    ),
}
JAPANESE: dict[str, Words] = {
    "one_picture": Words(
        "どれも同じ画像（完全な崩壊）",
        "どの潜在変数からも、ほぼ同じ画像が出ます。",
        "サンプルの組の半分は、違いが本物同士の{spread:.0%}未満です。{n:,}枚中{legible:.0%}が判読可能でした。",
        "生成器が入力を無視しているため、スライダーを動かしてもほとんど変わりません。",
    ),
    "noise": Words(
        "ノイズ（学習失敗）",
        "数字に見える画像は、ほとんどないか、まったくありません。",
        "{n:,}枚中{legible:.0%}が判読可能（確信度0.9以上）でした。コントラストは本物の{contrast:.0%}です。",
        "学習が始まったばかりか、途中で破綻しています。どちらかは曲線でわかります。"
        "更新を増やして改善するのは前者だけです。",
    ),
    "few_kinds": Words(
        "種類が少ない（モード崩壊）",
        "10種類中{present}種類の数字が現れます。出ない、またはまれな数字: {missing}。",
        "{n:,}枚中{legible:.0%}が判読可能でした。実効的な数字の種類数: 10種類中{effective:.1f}。",
        "生成器は、識別器が本物とみなす一部の数字だけを出しています。",
    ),
    "copies": Words(
        "コピー（丸暗記）",
        "未見の数字よりも学習画像に似ています。",
        "{copies_n:,}枚中{copied:.0%}が、未見画像との距離を基準にすると、未見の本物の99%よりも学習画像に近い画像です。",
        "鮮明でも実力の証拠にはなりません。学習データの一部を丸暗記しています。",
    ),
    "rough": Words(
        "粗い（全種類出るが、不鮮明な画像が多い）",
        "10種類すべて現れますが、不鮮明な画像が多くあります。",
        "{n:,}枚中{legible:.0%}が判読可能（確信度0.9以上）でした。",
        "成功と失敗の中間です。更新回数や学習データ量を増やすか、別の時点を選ぶと良くなるかもしれません。曲線が手がかりです。",
    ),
    "healthy": Words(
        "崩壊は見られない",
        "10種類すべて現れ、ほとんどの画像が鮮明です。",
        "{n:,}枚中{legible:.0%}が判読可能（確信度0.9以上）でした。実効的な数字の種類数: 10種類中{effective:.1f}。",
        "このサンプル数で、失敗4種類のうち{checked}種類を調べ、見つかりませんでした。"
        "失敗がないことの証明ではありません。",
    ),
    "unsure": Words(
        "サンプル不足で判定できません",
        "{n:,}枚中{read:,}枚が判読可能でした。",
        "判読可能な画像が{needed}枚未満では、出ない数字とまれな数字を区別できません。",
        "サンプルを増やしてから判断してください。",
    ),
    "one_picture/other": Words(
        "どれも同じ画像（完全な崩壊）",
        "どの潜在変数からも、ほぼ同じ画像が出ます。",
        "{n:,}枚のサンプルの組の半分は、違いが学習画像同士の{spread:.0%}未満です。"
        "コントラストは学習画像の{contrast:.0%}です。",
        "コントラストが低ければ、学習が始まったばかりか途中で破綻しています。高ければ、生成器が入力を無視しています。",
    ),
    "copies/other": Words(
        "コピー（丸暗記）",
        "未見の画像よりも学習画像に似ています。",
        "{copies_n:,}枚中{copied:.0%}が、未見画像との距離を基準にすると、ほかの未見画像の99%よりも学習画像に近い画像です。",
        "鮮明でも実力の証拠にはなりません。学習データの一部を丸暗記しています。",
    ),
    "not_digits": Words(
        "完全な崩壊は見られない（数字以外の画像）",
        "潜在変数が違えば、違う画像が出ます。",
        "{n:,}枚のサンプルの組の半分は、違いが学習画像同士の{spread:.0%}以上です。",
        "失敗4種類のうち調べられたのは{checked}種類です。数字分類器が読めるのは手書き数字だけで、"
        "コピーの検査には2,000枚以上の画像が必要です。画質は目で判断してください。",
    ),
}
LANGUAGES: dict[str, dict[str, Words]] = {"en": ENGLISH, "ja": JAPANESE}
