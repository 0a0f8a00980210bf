"""How Korean sentences and clauses end. Pure; asked through `endings`; the agent cuts its replies by the same rules.

A Korean verb says in its last syllables whether the sentence is over: 와요 and 갑니다 end it, 오는데 and 가서 go on. A
noun says it by its particle. Whisper spells both well; what it does not know is which 요 belongs to a noun (필요).
"""

import re
from collections.abc import Iterable
from typing import Final, Literal


def _syllables(*, vowels: Iterable[int] = range(21), final: int) -> str:
    """Return Hangul syllables by the numbers that Unicode (section 3.12) gives their parts, for a character class."""
    return "".join(chr(0xAC00 + (lead * 21 + vowel) * 28 + final) for lead in range(19) for vowel in vowels)


_WITH_N: Final = _syllables(final=4)
"""간다, 한다: the present."""
_WITH_L: Final = _syllables(final=8)
"""할까, 갈게, 볼래: the future."""
_WITH_B: Final = _syllables(final=17)
"""합니까 asks, but 하니까 gives a reason."""
_WITH_SS: Final = _syllables(final=20)
"""The past and the future: 왔다, 가겠다; all else before 다 may be another word."""
_OPEN: Final = _syllables(vowels=(0, 1, 4, 6, 9, 10, 14), final=0)
"""As verbs end before 서: 가서, 해서, 막혀서; but 에서, 께서 and 로서 are particles."""

SENTENCE_END: Final = (
    rf"(?:니다|[{_WITH_B}]니까|(?<=[가-힣])(?<![필중수주소강개동민])요|죠|[{_WITH_SS}]다|구나|잖아|거야)"
)
"""Endings of the polite and formal styles, and of plain ones what is no other word. 필요, 중요, … are nouns."""
CLAUSE_END: Final = (
    rf"(?:[은는인한던]데|(?<!가)운데|지만|니까|면서|[{_OPEN}]서|으니|므로|"
    r"(?:으|하|되|오|가|보|이|다|려|시|지|리|이라)면|[하으이]며|거나|도록|다가|더니|때문에)"
)
"""Connective endings that are always that."""

_NOT_WORDS: Final = re.compile(r"[^\w\s]+")
_HOURS: Final = "한|두|세|네|다섯|여섯|일곱|여덟|아홉|열|열한|열두"


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_ALONE: Final = _set(
    "네 예 넵 응 어어 그래 그럼 아니 아니요 아뇨 아니오 좋아 맞아 안녕 고마워 감사 싫어 몰라 됐어 글쎄 글쎄요 그만 "
    "잠깐 잠시만 중지 정지 취소 다음 계속 다시 물론 당연하지 알았어 오케이 미안 뭐 왜 진짜 정말 그렇지 별로 최고"
)
"""Words that are an answer, a question or a command by themselves."""
_HANGING: Final = _set(
    # Fillers,
    "음 어 으음 그 저 저기 그러니까 그니까 그게 뭐랄까 뭐지 있잖아 있잖아요 이제 막 약간 에 흠 "
    # conjunctions,
    "그리고 근데 그런데 하지만 그래서 그러면 그러나 아니면 또는 또 및 혹은 만약 만약에 왜냐하면 그래도 따라서 "
    "그러다가 "
    # adverbs,
    "너무 아주 매우 좀 더 가장 제일 안 못 그냥 아마 혹시 일단 거의 굉장히 무척 훨씬 정말로 얼마나 "
    # and what stands before a noun.
    "이런 그런 저런 어떤 무슨 어느 몇 모든 다른 새 첫 여러 이 같은 좋은 새로운 큰 작은"
)
"""Words after which something has to follow."""

_FINAL: Final = re.compile(
    rf"(?:{SENTENCE_END}|[{_WITH_N}]다|는다|이다|[{_WITH_SS}][어지네니냐군]|[{_WITH_L}](?:까|게|래|걸|게요|지)|"
    r"(?<=[가-힣])(?<![마남여과의모피사혼각환기감])자|"
    r"[해가와봐어아려여]라|(?:있|없|같|싶|좋|맞|많|괜찮)[어아네니지군]|(?:뭐|이|거|누구|어디)야|어때|"
    r"줘|(?<![올새])해|돼|꺼|켜|고파|아파|[추더려매까가쉬무서러고와]워|[올내돌들알]려|만나|"
    r"(?:좋|싫|많|같|없|있|작|높|낮|넓|짧|길|맛있|예쁘|크|나쁘|바쁘|아프|기쁘|슬프|고프|빠르|다르|비싸|아니|맞|춥|덥|쉽|렵)다|"
    r"(?:춥|덥|좋|맞|크|쁘|많|없|있|싸|하|되|가|오)네|[그렇맞하]지|인가|는가|나요|까요|세요|예요)$"
)
"""Endings of sentences in every style of speech; nouns that end alike (남자, 의자, 피자) are left out."""
_HALF_FINAL: Final = re.compile(r"(?:[는은인한던운]데|고|[아어해서라]서|니까|면)요$")
"""A connective with 요: as often the end of a polite request (하고 싶은데요) as not."""
_COUNTED: Final = re.compile(rf"(?:^|\s)(?:{_HOURS}|몇|\d+)\s?개요$")
_CONNECTIVE: Final = re.compile(
    rf"(?:{CLAUSE_END}|[가-힣](?<![사창광보참중재경])(?<!최)(?<!냉장)고|려고|러|느라|자마자|든지|든가|[{_WITH_N}]지|[아어해러려]도|"
    rf"[{_WITH_L}]수록|[{_WITH_SS}]고|[{_OPEN}]야|니다만)$"
)
_PARTICLE: Final = re.compile(
    r"(?:[가-힣A-Za-z0-9](?:을|를|는|은|의|와|과|으로|에게|한테|께|처럼|보다|마다|조차|이랑|랑|이나|에서|에|부터|까지|하고|이라고|라고)|"
    r"[가-힣]{2,}(?:이|가|도|로|만))$"
)
_ELLIPTIC: Final = re.compile(
    rf"^(?:(?:{_HOURS}|\d+)\s)?"
    r"\S+(?:에서|에|부터|까지|한테|에게|랑|이랑|처럼|만|도|로|으로|께|보다|하고|이|가)$"
)
"""Particles that may end an answer of one word, or of a number: 어디에서? 서울에서. 언제까지? 세 시까지."""
_NOUNS: Final = re.compile(
    r"(?:고양이|어린이|나이|아이|차이|사이|높이|길이|놀이|종이|호랑이|원숭이|먹이|휴가|국가|작가|평가|물가|주가|화가|누군가|뭔가|"
    r"지도|온도|속도|정도|제도|태도|각도|습도|포도|기도|도로|바로|서로|새로|따로|별로|그대로|마음대로|회의|강의|주의|의의|사과|결과|효과|"
    r"치과|내과|학과|바나나|가을|마을|은행|에어컨|그만|잠시만|잠깐만|빨리|같이|많이|일찍이|깊이|편지|반지|먼지|단지|얼마|"
    r"라면|화면|장면|측면|냉면|가면|표면|순서|독서|부서|도서|질서|가운데|사고|창고|광고|냉장고|최고|중고|경고)$"
)
"""Nouns and adverbs that end like a particle or a connective."""
_COUNT_MISSING: Final = re.compile(rf"(?:오전|오후|아침|저녁|밤|새벽|낮)\s(?:{_HOURS})$|\s(?:한|두|세|스무|열두|열한)$")
_DIGITS_GO_ON: Final = re.compile(r"(?:전화번호|제 번호|휴대폰|핸드폰|010|공일공)\D*(?P<digits>\d[\d\s-]*)$")
_PHONE_DIGITS: Final = 9
"""A Korean telephone number has at least so many."""


def ending(text: str, *, asks: bool) -> Literal["complete", "open", "unclear"]:
    """Judge the last sentence of a text; `asks` is whether it ends with a question mark."""
    words = _NOT_WORDS.sub(" ", text).split()
    if not words:
        return "unclear"
    plain, last = " ".join(words), words[-1]
    if plain in _ALONE:
        return "complete"
    if last in _HANGING or _number_goes_on(plain):
        return "open"
    if asks or _COUNTED.search(plain):
        return "complete"
    if _NOUNS.search(last) or _HALF_FINAL.search(last):
        return "unclear"
    if _FINAL.search(plain):
        return "complete"
    goes_on = _CONNECTIVE.search(plain) or (_PARTICLE.search(last) and not _ELLIPTIC.search(plain))
    return "open" if goes_on else "unclear"


def _number_goes_on(plain: str) -> bool:
    """Whether a telephone number, a time or a count was cut off."""
    if found := _DIGITS_GO_ON.search(plain):
        return len(re.findall(r"\d", found["digits"])) < _PHONE_DIGITS
    return _COUNT_MISSING.search(plain) is not None
