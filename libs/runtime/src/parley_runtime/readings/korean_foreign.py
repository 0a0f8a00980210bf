"""Latin letters in Korean text as Koreans say them: words and initials. Pure; called by `korean`.

Words that are in no table here are left to the engine, which reads them as English; so is a whole run of them, because
an English sentence with single words in Korean would be understood by nobody.
"""

import re
from typing import Final

from parley_runtime.readings.korean_particles import READ


def _table(text: str) -> dict[str, str]:
    """Read `word reading; word reading`."""
    return dict(entry.split() for entry in text.split(";"))


_LETTERS: Final = dict(
    zip(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (
            *("에이", "비", "씨", "디", "이", "에프", "지", "에이치", "아이", "제이", "케이", "엘", "엠"),
            *("엔", "오", "피", "큐", "알", "에스", "티", "유", "브이", "더블유", "엑스", "와이", "제트"),
        ),
        strict=True,
    )
)
"""As they are said, which for C and R is not as the norm for foreign words writes them (시, 아르)."""
_MOST_INITIALS: Final = 5
"""Longer words in capitals are shouted words."""

_WITH_DIGITS: Final = {
    "MP3": "엠피쓰리",
    "MP4": "엠피포",
    "CO2": "씨오투",
    "H2O": "에이치투오",
    "B2B": "비투비",
    "B2C": "비투씨",
    "P2P": "피투피",
    "2D": "투디",
    "3D": "쓰리디",
    "4K": "포케이",
    "8K": "에이트케이",
    "4G": "포지",
    "5G": "파이브지",
    "6G": "식스지",
    "A4": "에이포",
    "G7": "지세븐",
    "Wi-Fi": "와이파이",
    "K-pop": "케이팝",
    "e-mail": "이메일",
    "USB-C": "유에스비 씨",
}
"""Names whose digit is said in English, and names with a hyphen."""
_WORDS: Final = _table(
    """
    ai 에이아이; amazon 아마존; android 안드로이드; api 에이피아이; app 앱; apple 애플;
    bluetooth 블루투스; bus 버스; chatgpt 챗지피티; chrome 크롬; cloud 클라우드; coffee 커피;
    covid 코비드; cuda 쿠다; daum 다음; discord 디스코드; docker 도커; email 이메일; excel 엑셀; facebook 페이스북;
    fastapi 패스트에이피아이; galaxy 갤럭시; git 깃; github 깃허브; gmail 지메일; google 구글;
    grafana 그라파나; helm 헬름; instagram 인스타그램; internet 인터넷; ios 아이오에스; ipad 아이패드;
    iphone 아이폰; java 자바; javascript 자바스크립트; kakao 카카오; kakaotalk 카카오톡;
    kubernetes 쿠버네티스; laptop 랩톱; linux 리눅스; mac 맥; macbook 맥북; macos 맥오에스; max 맥스; meta 메타;
    microsoft 마이크로소프트; mini 미니; nats 나츠; naver 네이버; netflix 넷플릭스; nvidia 엔비디아;
    ok 오케이; okay 오케이; ollama 올라마; openai 오픈에이아이; pdf 피디에프; plus 플러스;
    pro 프로; python 파이썬; samsung 삼성; server 서버; slack 슬랙; spotify 스포티파이; tesla 테슬라; tiktok 틱톡;
    twitter 트위터; ubuntu 우분투; ultra 울트라; vs 대; whisper 위스퍼; wifi 와이파이; windows 윈도우;
    www 더블유더블유더블유; youtube 유튜브; zoom 줌
    """
)
"""By their lower case."""
_SAID_AS_WORDS: Final = _table(
    """
    NASA 나사; NATO 나토; UNESCO 유네스코; UNICEF 유니세프; FIFA 피파; OPEC 오펙; LAN 랜; RAM 램; ROM 롬; SIM 심;
    AIDS 에이즈; SARS 사스; IKEA 이케아; KAIST 카이스트; POSCO 포스코; KOSPI 코스피; KOSDAQ 코스닥; APEC 에이펙;
    ASEAN 아세안; TOEIC 토익; TOEFL 토플; SaaS 사스; LoL 롤; PIN 핀; ZIP 집; GIF 지아이에프
    """
)
"""Initials that make a word; only in this spelling."""

_DOMAINS: Final = _table(
    "com 컴; net 넷; org 오알지; kr 케이알; co 씨오; io 아이오; go 고; ac 에이씨; or 오알; dev 데브; me 미"
)
"""Words of addresses only; `speakable` writes 점 where they have dots."""

_WHOLE: Final = re.compile(
    rf"(?<![A-Za-z\d])(?:{'|'.join(re.escape(name) for name in _WITH_DIGITS)})(?![A-Za-z\d])", re.IGNORECASE
)
_WHOLE_BY_CASE: Final = {name.lower(): reading for name, reading in _WITH_DIGITS.items()}
_WORD: Final = r"[A-Za-z]+(?:&[A-Za-z]+)*(?:['-][A-Za-z]+)*"
_DOMAIN: Final = re.compile(
    rf"(?<=점 )(?:{'|'.join(_DOMAINS)})(?![A-Za-z])|(?<![A-Za-z])(?:{'|'.join(_DOMAINS)})(?= 점)"
)
_RUN: Final = re.compile(rf"(?<![A-Za-z]){_WORD}(?: {_WORD})*")
_LONG_RUN: Final = 3


def read_names(text: str) -> str:
    """Read names that would fall apart if their digits were read as numbers. Comes first."""
    return _WHOLE.sub(lambda m: _WHOLE_BY_CASE[m[0].lower()] + READ, text)


def read_words(text: str) -> str:
    """Read what is known of the Latin words that are left. Comes last."""
    return _RUN.sub(_run, _DOMAIN.sub(lambda m: _DOMAINS[m[0]] + READ, text))


def _run(match: re.Match[str]) -> str:
    words = match[0].split(" ")
    readings = [_reading(word) for word in words]
    if len(words) >= _LONG_RUN and None in readings:
        return match[0]
    return " ".join(word if reading is None else reading + READ for word, reading in zip(words, readings, strict=True))


def _reading(word: str) -> str | None:
    known = _SAID_AS_WORDS.get(word) or _WORDS.get(word.lower())
    if known or "'" in word:
        return known
    parts = re.split("[&-]", word)
    if len(parts) > 1:
        readings = [_reading(part) for part in parts]
        return ("앤" if "&" in word else " ").join(part for part in readings if part) if all(readings) else None
    if len(word) == 1 or (word.isupper() and len(word) <= _MOST_INITIALS):
        return "".join(_LETTERS[letter] for letter in word.upper())
    return None
