"""What the two articles claim for each amount of data, paraphrased in one line, to show beside our figures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Claim:
    """article: its short name; url: of it or of a summary; says: language -> one line."""

    article: str
    says: dict[str, str]

    @property
    def url(self) -> str:
        return _URLS[self.article]


_DCGAN = "DCGAN×MNIST (Qiita, 2025)"
_THRESHOLD = "GAN, MNIST (Qiita, MomonekoView)"
_URLS = {
    _DCGAN: "https://app.engr-sng.com/news/detail/dcgan-mnist-image-quality-ae7f452e",
    _THRESHOLD: "https://qiita.com/MomonekoView/items/b1b24ae085f446d3cf4b",
}
CLAIMS: dict[int, tuple[Claim, ...]] = {
    65_000: (
        Claim(_THRESHOLD, {"en": "The baseline: clear digits.", "ja": "基準。はっきりした数字。"}),
    ),
    60_000: (Claim(_DCGAN, {"en": "100 %: sharp digits.", "ja": "100%: 鮮明な数字。"}),),
    30_000: (Claim(_DCGAN, {"en": "50 %: still sharp.", "ja": "50%: まだ鮮明。"}),),
    10_000: (
        Claim(
            _THRESHOLD,
            {"en": "Slightly softer than 65,000.", "ja": "65,000枚よりわずかにぼやける。"},
        ),
    ),
    6_000: (Claim(_DCGAN, {"en": "10 %: visibly worse.", "ja": "10%: 目に見えて悪化。"}),),
    1_000: (Claim(_THRESHOLD, {"en": "Digits with speckles.", "ja": "斑点のある数字。"}),),
    600: (
        Claim(
            _DCGAN,
            {"en": "1 %: noise, close to collapse.", "ja": "1%: ノイズが多く、崩壊寸前。"},
        ),
    ),
    500: (Claim(_THRESHOLD, {"en": "Partly broken.", "ja": "一部が崩れる。"}),),
    200: (Claim(_THRESHOLD, {"en": "No longer digits.", "ja": "もはや数字ではない。"}),),
}
