"""Cutting a streaming Korean reply into phrases: a `|` in an example is where a speaker would breathe."""

import pytest

from parley_agent.phrasing import Phrase, cut

SENTENCES = [
    "내일은 비가 와요. | 우산을 챙기세요.",
    "내일은 비가 와요 | 우산을 챙기세요",
    "우산은 필요 없습니다 | 좋은 하루 되세요",
    "네. | 알겠습니다!",
    "정말요? | 몰랐어요.",
    "안녕하세요~ | 반가워요~",
    "지금 갈게요 | 기다려 주세요",
    "같이 갈래요 | 아니면 기다릴까요",
    "그렇군요 | 이해했어요",
    "벌써 봄이네요 | 꽃이 피었어요",
    "제가 했거든요 | 믿어 주세요",
    "어제 말했잖아요 | 기억나세요",
    "무엇을 도와드릴까요 | 말씀해 주세요",
    "어디에 계십니까 | 제가 찾아가겠습니다",
    "춥지는 않죠 | 그래서 괜찮아요",
    "어디로 가나요 | 이쪽인가요",
    "이게 맞지요 | 네 맞아요",
    "비가 온대요 | 조심해요",
    "어제는 눈이 왔다 | 오늘은 맑겠다",
    "이제 알겠구나 | 다행이야.",
    "괜찮을 거야 | 걱정하지 마.",
    "그건 네가 말했잖아 | 벌써 잊었어?",
    "제 이름은 파를리예요 | 잘 부탁드려요",
    "서울은 한국의 수도입니다 | 인구는 약 940만 명입니다",
    "와! | 정말 잘하셨어요!",
    "정말이에요?! | 놀랍네요.",
    "첫째 줄\n |둘째 줄",
]
INSIDE = [
    "물이 필요 없는 식물이에요.",
    "이것은 중요 자료입니다",
    "수요 예측은 어려워요.",
    "주요 도시는 서울과 부산입니다",
    "소요 시간은 한 시간이에요.",
    "키는 175.5 정도예요.",
    "원주율은 3.14 정도입니다.",
    "가격은 12,000 원입니다.",
    "지금은 3:30 정도예요.",
    "오늘은 2026. 11. 27. 금요일입니다.",
    "1. 상자를 여세요. | 2. 전원을 켜세요.",
    "Dr. Kim 박사님이 오셨어요.",
    "A vs. B 중에 골라 주세요.",
    "Apple Inc. 제품이에요.",
    "주소는 naver.com 입니다.",
    "버전은 1.2.3 이에요.",
    "“어디 가요?”라고 물었어요.",
    "그는 “비가 와요.” 라고 했어요.",
    '"알겠습니다." 하고 대답했어요.',
    "“네.” | 그는 짧게 답했어요.",
    "오세요라고 했어요.",
    "가운데 자리가 비었어요.",
    "일요일에 만나요.",
    "(네, 맞아요.) | 다음으로 가요.",
    "음... | 글쎄요.",
    "그게… | 잘 모르겠어요.",
    "3~5개 정도예요.",
    "5월 5일은 어린이날이에요.",
]
FIRST = [
    "내일 서울은 맑은데 | 바람이 조금 불어요.",
    "비가 많이 오지만 | 춥지는 않아요.",
    "오늘은 바쁘니까 | 내일 이야기해요.",
    "음악을 들으면서 | 공부했어요.",
    "길이 많이 막혀서 | 늦었어요.",
    "눈이 많이 와서 | 길이 미끄러워요.",
    "숙제를 다 해서 | 기분이 좋아요.",
    "지금 출발하면 | 늦지 않아요.",
    "시간이 있으면 | 들러 주세요.",
    "서울에 가려면 | 기차가 좋아요.",
    "값도 싸고 맛도 좋고 | 분위기도 좋아요.",
    "아침을 먹고 | 학교에 가요.",
    "저는 학생이고 | 동생은 회사원이에요.",
    "지금 공부하고 있어요.",
    "바다를 보고 싶어요.",
    "지금 출발하려고 해요.",
    "일찍 자려고 | 불을 껐어요.",
    "여기 앉아도 돼요.",
    "아무리 불러도 | 대답이 없어요.",
    "잠이 들 수 있도록 | 불을 꺼 주세요.",
    "책을 읽다가 | 잠이 들었어요.",
    "비가 오기 때문에 | 안에 있어요.",
    "날씨가 좋으므로 | 산책을 권합니다.",
    "산책을 하거나 | 책을 읽으세요.",
    "도서관에서 책을 읽어요.",
    "내일은 오전 3시, | 모레는 4시예요.",
    "네, 내일은 맑아요.",
    "하지만 내일은 추워요.",
    "물론이죠 | 도와드릴게요.",
    "이런 음식을 김치라고 부릅니다.",
    "내일은 비가 온다고 합니다.",
    "같이 가자고 했어요.",
    "언제 오냐고 물었어요.",
]


def text_of(example: str) -> str:
    return example.replace(" |", "")


def marked(example: str, *, is_first: bool) -> str:
    """Return the example as the code would mark it."""
    done = cut(text_of(example), is_first=is_first, language="ko")
    return " |".join([*(phrase.text for phrase in done.phrases), done.rest])


def test_there_are_sixty_examples() -> None:
    assert len({*SENTENCES, *INSIDE, *FIRST}) >= 60


@pytest.mark.parametrize("example", SENTENCES)
def test_sentences_end_at_their_endings_with_or_without_a_full_stop(example: str) -> None:
    assert marked(example, is_first=False) == example


@pytest.mark.parametrize("example", INSIDE)
def test_nothing_is_cut_inside_of_a_sentence(example: str) -> None:
    assert marked(example, is_first=False) == example


@pytest.mark.parametrize("example", FIRST)
def test_the_first_phrase_may_end_at_a_connective(example: str) -> None:
    assert marked(example, is_first=True) == example


@pytest.mark.parametrize("example", [*SENTENCES, *INSIDE])
def test_what_is_cut_does_not_depend_on_how_the_text_arrived(example: str) -> None:
    text = text_of(example)
    whole = cut(text, is_first=False, language="ko")
    said: list[Phrase] = []
    rest = ""

    for character in text:
        done = cut(rest + character, is_first=False, language="ko")
        said += done.phrases
        rest = done.rest

    assert (tuple(said), rest) == whole
