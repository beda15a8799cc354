"""Texts as hypothesis makes them for the search: all of Unicode that the API takes, what is awkward more often."""

from hypothesis import strategies as st

# What changes its length or neighbours when it is folded, joins, vanishes, or means something to a query or a page.
AWKWARD = [
    *"ß ẞ İ ı ſ ﷺ ﷲ ½ ㎏ ﬁ ﬃ ς Σ ΐ ᾳ ŉ ǰ æ Ø ʼ Ⅷ ² ① ㍿ ㌔ ｶ ﾞ ﾟ ガ か ゙ ー 々 〇 𠮷 漢 字 각 가 ᄀ ᅡ ᆨ ㄱ ㅏ ㅋ ﾡ".split(),
    *"ก ำ ้ ํ ิ ົ ຳ ខ ្ម ម က ္ တ क ् ष क़ ़ ि ক ো ে া த ௌ ෙ ා ් 𑄱 𑄧 ١ ۴ ४ ๔ 𝟗 ى ی ك ک ة أ ّ ـ ﹱ ﳲ ם ׁ ־ ﬡ".split(),
    *"Ꭰ ꭰ 𐐀 e \u0301 \u0316 \u0345 \u20e3 \ufe0f \u3099 \u302a \u0f71 \u0f72 🏽 🎉 👩‍💻 A a 1".split(),
    *"_ - \" “ ” * OR AND ' < & > &lt; <mark> </mark>".split(),
    *"\u200b\u200c\u200d\u00ad\u200f\ufeff\u3164\u00a0\u3000\n\x1f",
    *[" "] * 10,
]
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
TEXTS = st.one_of(
    st.text(CHARACTERS, max_size=60),
    st.lists(st.one_of(st.sampled_from(AWKWARD), CHARACTERS), max_size=30).map("".join),
)


def document(words: list[str]) -> str:
    """A document's words as the table keeps them."""
    return f" {' '.join(words)} "
