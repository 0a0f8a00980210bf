"""How English sentences end, and by what words it shows that one has not. Pure; asked through `endings`.

There is no parser: closed classes of words, which are few and never new, and a handful of patterns over lower-case
words with single spaces. Where both readings are common ("turn it on", "I work on") what stands before decides, and
where that does not help the answer is `unclear`.
"""

import re
from collections.abc import Sequence
from typing import Final, Literal

_WORD: Final = re.compile(r"[a-z]+(?:'[a-z]+)*|\d+(?:[.,:]\d+)*")


def _any(words: str) -> str:
    return f"(?:{'|'.join(words.split())})"


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_SUBJECTS: Final = "i you he she it we they this that these those there"
_BE: Final = "am is are was were be been being"
_SMALL_START: Final = r"^(?:(?:so|and|but|well|okay|um|uh|please|hey|oh|yeah|yes|no|hi|hello|now|then|just|also) )*"
"""What may stand before the beginning of a sentence."""

# Whole by themselves.

_ALONE: Final = _set(
    "yes yeah yep yup no nope nah ok okay sure right correct exactly absolutely definitely certainly indeed maybe "
    "perhaps thanks hello hi hey bye goodbye stop wait cancel continue next repeat help pardon sorry please good great "
    "fine perfect cool nice wow never always sometimes nothing everything anything agreed true false wrong enough "
    "done begin louder quieter softer faster slower higher lower warmer colder brighter darker later earlier quickly "
    "slowly really wonderful excellent amazing awesome interesting"
)
_SAID_WHOLE: Final = re.compile(
    r"(?:(?:yes|no|yeah|ok|okay|oh|well|sure) )?"
    r"(?:thank you(?: (?:very|so) much)?|thanks a lot|never ?mind|no problem|that's (?:all|it)|go ahead|"
    r"good (?:morning|evening|night|afternoon|bye|idea)|of course(?: not)?|not (?:yet|really|now|today|at all|that)|"
    r"come on|hold on|hang on|why not|what else|how so|me (?:too|neither)|(?:just )?a (?:little|few|lot|bit)|and so on|"
    r"(?:yes|no) please(?: do)?|please do)"
)
_ANSWERED: Final = re.compile(
    rf"(?P<answer>(?:yes|no|yeah|yep|nope|sure|of course) )?{_any(_SUBJECTS)}(?: really)? "
    rf"(?:{_any(_BE)}|do|does|did|will|would|can|could|should|have|has|(?:do|does|did|wo|would|ca|could|is|are|was|were)n't)"
)
"""`No, they don't` is whole; `they don't` may be, too, or a beginning."""

# Thinking.

_FILLERS: Final = _set("um umm uh uhm er erm hm hmm mm mmm ah eh")
_FILLING: Final = re.compile(
    r"(?:(?<!do )(?<!did )(?<!does )(?<!would )(?<!if )\byou know|(?<!what )(?<!do )\bi mean|let me (?:see|think)|"
    r"let's see|sort of|kind of|how do i say|what's it called|to be honest|"
    r"the thing is|for (?:example|instance)|such as|^(?:well|so|like|now|and then|oh well)|"
    r"(?:and|but|because|um|uh) (?:well|so|like|then)|or (?:well|like|then)|"
    r"(?<!think )(?<!hope )(?<!guess )(?<!suppose )(?<!say )(?<!said )(?<!believe )(?<!do )(?<!is )(?<!afraid )(?<!or )"
    r"\bso)$"
)
"""`Do you know` asks, and `I think so` answers."""

# Words after which another has to come.

_NEVER_LAST: Final = _set(
    "and or but nor because cause although unless until till whether than while whereas if as whose plus versus "
    "a an the my your our their its every very"
)
"""Conjunctions and articles: not even before a question mark."""
_CLAUSE_BEGUN: Final = re.compile(r", *(?:who|which|where|when|that|so)\W*$")
_PREPOSITIONS: Final = _set(
    "of to from with at for into onto by between among about during without against toward towards via per upon "
    "despite within beside near except regarding including concerning in on"
)
_STRANDING: Final = re.compile(
    r"\b(?:what|what's|who|whom|which|where|something|anything|nothing|someone|somebody|anyone|one|thing)\b.*"
    r"(?:\w+ing|\b(?:you|it|he|she|they|we|this|that|these|those|talk|look|wait|listen|go|come|speak|belong|work|play|"
    r"live|ask|pay|care|think|worry|hear|heard|made|apply|depend|do|deal|start|end|read|write|used|sit|stay|agree|good|"
    r"afraid|famous|known|called|talked|looked|worked|spoke|went|came|forward)(?:'s|'re)?) \w+$"
)
"""In `what are you looking for` the preposition's noun stands before the verb; in `what is the capital of` it lacks."""
_MOVING: Final = re.compile(
    r"\b(?:turn|turned|switch|switched|put|come|came|go|going|goes|hang|hold|log|sign|move|carry|get|got|keep|check|try|"
    r"fill)\b.* (?:in|on)$|^(?:come|go|hang|hold|log|sign|move|carry) (?:in|on)$|"
    r"\b(?:from now|later|early|going|it|them|still|already) on$"
)
"""`Turn the light on` is whole, `the book is on` is not."""
_CONTRACTED: Final = re.compile(r"^(?:let's|(?:it|that|there|here|he|she|what|who|where|how)'s|\w+'(?:m|d|re|ve|ll))$")
_BEING: Final = _set(_BE)
_AUXILIARIES: Final = _BEING | _set(
    "have has had having do does did will would shall should can could may might must ought gonna wanna gotta cannot"
)
_IN_MAY: Final = re.compile(
    r"\b(?:of|in|this|next|last|early|late|until|since|by|before|after|\d+(?:st|nd|rd|th)?) may$"
)
_ASKING: Final = re.compile(rf"\b(?:what|who|where|how|when|which|all|as|than)\b.*\b{_any(_SUBJECTS)} \w+$")
"""`I know where they are`, `tell me what time it is`; but `what I want to say is` goes on."""
_NEGATED: Final = re.compile(r"^(?:\w+n't|not)$")
_NOT_WHOLE: Final = re.compile(r"\b(?:hope|think|guess|why|course|absolutely|probably|maybe|definitely|or|better) not$")
_MODIFYING: Final = _set(
    "really just also always never usually still only probably actually even simply almost quite rather extremely "
    "basically literally already nearly mostly maybe perhaps finally suddenly"
)
_BEFORE_MODIFYING: Final = _set(_SUBJECTS) | _AUXILIARIES
_ADJECTIVE: Final = _any(
    "new old big small large little good bad great nice long short high low red blue green black white brown young "
    "whole really pretty quite certain different similar important special beautiful real public local national cheap "
    "quiet better expensive fast quick slow hot cold warm next last main other"
)
_NOUN_MISSING: Final = re.compile(rf"\b(?:a|an|my|your|our|their|some) {_ADJECTIVE}(?: {_ADJECTIVE})?$")
_BEGUN: Final = re.compile(
    rf"{_SMALL_START}(?:"
    rf"{_any(_SUBJECTS)} (?:want|need|think|believe|guess|wonder|mean|said|say|told|like|prefer|wanted|was|were|got|"
    r"have|had|feel like|went|just|thought|would (?:like|prefer|love))|"
    r"i'd like|i'm (?:looking|trying|thinking|going|gonna|not|just)|"
    rf"(?:can|could|would|will|do|did|does|are|is|was|were|have|has|should|shall|may) {_any(_SUBJECTS)}"
    r"(?: (?:please|tell|give|show|let|send|bring|remind|set|add|put|make|find|have|know|think|want|need|also|just))?"
    r"(?: me| us| him)?|"
    r"(?:give|let|send|bring|remind|get|find|set|add|put|make|take|tell|ask)(?: me| us| him| her)?|"
    r"(?:what|where|when|how|who|why|which|how (?:many|much|long|often|far)|what (?:time|kind|sort)|which one)|"
    r"(?:there|this|that|it) (?:is|was|are)|(?:is|are|was|were) there|"
    r"(?:what|who|where|when|why|how|which(?: \w+)?|how (?:many|much) \w+|how (?:long|often|far)) "
    rf"(?:(?:do|does|did|should|can|could|will|would|have|has|shall)(?: {_any(_SUBJECTS)})?|is|are|was|were)|"
    r"(?:which|one|some|all|many) of (?:these|those|them|the)(?: \w+)?)$"
)
"""Beginnings by themselves: `can you tell me`, `I would like`."""
_ALL_BUT_BEGUN: Final = re.compile(r"^(?:who|what|where|when|why|how|which|which one|(?:tell|ask) (?:me|us|him|her))$")
"""Of these the shortest may be all: `Why.`"""
_NUMBER_MISSING: Final = re.compile(
    r"\b(?:(?:room|flight|phone|telephone|platform|page|chapter|channel|house|gate) number|half past|"
    r"quarter (?:to|past)|point|plus|minus|divided|dollars and|in the year|(?:hundred|thousand) and|"
    r"the (?:twenty|thirty)|"
    r"(?:from|at|to|on|in|is|of) (?:platform|page|chapter|channel|gate|track|room|flight|seat|exit)|"
    rf"(?:timer (?:for|of)|alarm in|me in) (?:\d+|{_any('five ten fifteen twenty thirty forty fifty')}))$"
)
_EITHER: Final = re.compile(
    rf"\b(?:her|his|when|where|why|how|who|what|which|any|some|another|more|\w+ \w+ that|the {_ADJECTIVE}|"
    r"(?:say|said|says|think|thought|know|believe|hope|told|sure|fact|so|is|mean|thing|means|see|me) that)$"
)
"""`I called her` and `I called her mother`: nobody knows."""
_SUBORDINATE: Final = re.compile(
    rf"{_SMALL_START}(?:if|although|unless|whenever|as (?:soon|long) as|even (?:if|though)|when {_any(_SUBJECTS)})\b"
    r"[^,]*$"
)
"""What comes first and is not all: `if it rains tomorrow`. Whisper writes the comma where more was said."""
_SUBORDINATE_WORDS: Final = 8
"""A longer one has its main clause in it."""

# Going on.

_DIGITS_GO_ON: Final = re.compile(
    r"\b(?:(?P<phone>(?:my|her|his|their|your|our|phone|telephone) number is)|number|code|pin|zip|phone|call|dial|it's|"
    r"is)\b[^.]*?(?P<digits>\d[\d ,.-]*)$"
)
_PHONE_DIGITS: Final = 7
"""The shortest telephone number that people dictate; a shorter run of digits in groups goes on."""
_LISTING: Final = re.compile(r"[^,]+,[^,]+, *(?!and\b|or\b)[\w']+(?: [\w']+)?\W*$")
"""`Milk, bread, butter`: the last of a list comes after an `and`."""
_LIST_BEGUN: Final = re.compile(
    r"^\W*(?:please )?(?:add|buy|get|order|bring|i (?:need|want|like|bought)|we need|i'd like)\b[^,]*, *"
    r"(?!and\b|or\b)[\w']+(?: [\w']+)?\W*$"
)
_NO_ITEMS: Final = _set("please thanks thank you too today tonight tomorrow now then right though okay ok sir again")

# Built like a whole sentence.

_CLOSERS: Final = _set(
    "please thanks today tonight tomorrow yesterday now then too again instead here there it me him them us you "
    "myself yourself everyone everybody someone something anything everything nothing minutes hours days weeks seconds "
    "yet anymore anyway soon later together forever though once twice pm am"
)
"""Last words after which little has to follow."""
_QUESTION: Final = re.compile(
    rf"{_SMALL_START}(?:(?:what|who|whose|where|when|why|how|which)(?:'s|'re|'d)?|"
    r"(?:is|are|was|were|do|does|did|can|could|will|would|should|have|has)(?:n't)?|can't|am|shall|may) \w+ \w+"
)
_COMMAND: Final = re.compile(
    rf"{_SMALL_START}(?:set|turn|play|tell|show|give|add|remind|stop|open|close|call|find|start|write|read|remember|put|"
    r"make|take|send|create|delete|remove|repeat|explain|translate|spell|search|look|wake|let|let's|go|come|keep|change|"
    r"increase|decrease|pause|resume|skip|cancel|book|order|buy|help|switch|lock|unlock|note|check|describe|list|name|"
    r"define|calculate|count|sing|speak|talk|say|ask|answer|wait|try|mute|schedule|move|bring|get|pick|choose|recommend|"
    r"suggest|summarize|convert|navigate|forget|hold|hang|log|sign) \w+"
)
_VERB: Final = re.compile(
    rf"(?:'s|'m|'re|'ve|'ll|'d|n't)\b|\b(?:{_any(_BE)}|have|has|had|do|does|did|will|would|shall|should|can|could|may|"
    r"might|must|(?:want|need|like|love|hate|think|know|come|get|make|take|see|say|give|tell|find|feel|buy|live|leave|"
    r"work|play|start|begin|mean|look|seem|hope|wish|flow|cost|believe|guess|remember)s?|go|goes|went|came|got|made|took|"
    r"saw|said|gave|told|found|felt|bought|forgot|left|lost|met|ran|sat|sent|slept|spoke|spent|stood|taught|thought|wrote|"
    r"won|began|broke|brought|built|caught|chose|drank|drove|ate|fell|flew|froze|grew|heard|held|kept|knew|paid|put|rang|"
    r"rode|sang|sold|swam|wore|\w{3,}ed)\b"
)
_SAYING: Final = re.compile(
    rf"{_SMALL_START}(?:(?:i|you|he|she|it|we|they|who) \w+|(?:my|our|your|his|her|their|the|this|that|a) "
    r"(?:\w+ ){1,2}\w+[^\Ws]s) \w+"
)
"""A subject, something that may be its verb, and more: `she sells cheese`, `our cat sleeps here`."""
_FEWEST_WORDS: Final = 3
"""Of a statement: `it works fine`."""


def ending(sentence: str, *, asks: bool) -> Literal["complete", "open", "unclear"]:
    """Judge the last sentence of a text, in lower case; `asks` is whether it ends with a question mark."""
    words = _WORD.findall(sentence)
    if not words:
        return "unclear"
    plain = " ".join(words)
    if (len(words) == 1 and plain in _ALONE) or _SAID_WHOLE.fullmatch(plain):
        return "complete"
    if answered := _ANSWERED.fullmatch(plain):
        return "complete" if answered["answer"] else "unclear"
    if words[-1] in _FILLERS | _NEVER_LAST or _FILLING.search(plain):
        return "open"
    if asks:
        return "unclear" if _looks_begun(plain) or _lacks_its_noun(words[-1], plain) else "complete"
    if _SUBORDINATE.search(sentence) and len(words) <= _SUBORDINATE_WORDS:
        return "open"
    if _CLAUSE_BEGUN.search(sentence) or _lacks_a_word(words, plain) or _counts(sentence, plain):
        return "open"
    return "complete" if _could_be_all(words, plain) else "unclear"


def _looks_begun(plain: str) -> bool:
    return _BEGUN.search(plain) is not None and _ALL_BUT_BEGUN.search(plain) is None


def _lacks_its_noun(last: str, plain: str) -> bool:
    if last not in _PREPOSITIONS or _STRANDING.search(plain):
        return False
    return last not in {"in", "on"} or not _MOVING.search(plain)


def _lacks_a_word(words: Sequence[str], plain: str) -> bool:
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if _IN_MAY.search(plain):
        return False
    if last in _AUXILIARIES:
        # After a subject most may be an answer (`he said he would`); what somebody is has to be said.
        return not _ASKING.search(plain) and (last in _BEING or before not in _SUBJECTS.split())
    if _NEGATED.search(last):
        return before not in _SUBJECTS.split() and not _NOT_WHOLE.search(plain)
    if last in _MODIFYING:
        return before in _BEFORE_MODIFYING
    return (
        _lacks_its_noun(last, plain)
        or _looks_begun(plain)
        or any(pattern.search(found) for pattern, found in ((_CONTRACTED, last), (_NOUN_MISSING, plain)))
        or _NUMBER_MISSING.search(plain) is not None
    )


def _counts(sentence: str, plain: str) -> bool:
    """Whether digits or a list go on."""
    if (found := _DIGITS_GO_ON.search(plain)) and (found["phone"] or " " in found["digits"].strip()):
        return len(re.findall(r"\d", found["digits"])) < _PHONE_DIGITS
    if not (_LISTING.search(sentence) or _LIST_BEGUN.search(sentence)):
        return False
    return _NO_ITEMS.isdisjoint(_WORD.findall(sentence.rpartition(",")[2]))


def _could_be_all(words: Sequence[str], plain: str) -> bool:
    """Whether it is built like a question, a command or a statement."""
    if len(words) > 1 and words[-1] in _CLOSERS:
        return True
    if (words[-1] in _AUXILIARIES and not _IN_MAY.search(plain)) or _EITHER.search(plain):
        return _QUESTION.search(plain) is not None or _ASKING.search(plain) is not None
    if any(pattern.search(plain) for pattern in (_QUESTION, _COMMAND, _SAYING)):
        return True
    verb = _VERB.search(plain)
    return verb is not None and verb.end() < len(plain) and len(words) >= _FEWEST_WORDS
