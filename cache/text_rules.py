"""What a prompt's own words say about reusing its answer: empty of content, personal, time-bound.

Each rule errs on the side that cannot serve a wrong answer. Calling a harmless text personal or
time-bound costs a saving; the reverse shows one user another's data, or yesterday's news.
They are linear, and bounded: of a long text only the ends, where the question stands, are searched
for words; identifiers are looked for in all of it, and a text too long even for that is personal.
"""
# ruff: noqa: E501  (word lists and tables are read as text)

from __future__ import annotations

import re

_MAX_READ_CHARS = 65_536
_END_CHARS = 4_096

# -------------------------------------------------------------------------------- content-free

_EMPTY_WORDS = frozenset(
    "yes yep yeah yup ya y no nope nah n ok okay k kk alright sure right correct exactly indeed "
    "true false fine good great perfect nice cool awesome amazing excellent wonderful lovely "
    "thanks thank thx ty cheers please pls plz continue proceed go on ahead next more again carry "
    "keep going resume and so then also do it that this one a an the i you me we us is are was "
    "be to of for in too very much lot many well sounds looks works got understood understand see "
    "agreed agree absolutely definitely certainly maybe perhaps hmm hm um uh oh ah wow lol haha "
    "hi hello hey bye goodbye stop wait first second third last option both either neither none "
    "all above below any other another same retry repeat redo rewrite elaborate shorter longer "
    "better simpler expand explain why how what when where who which really seriously huh sorry "
    "welcome done finish finished start begin now just like with your my not don't i'm it's that's "
    "let's want would can could should will show give tell try help something else anything "
    "everything further details detail example examples part step go back a1 b c d".split()
)
# Phrases that ask for something only the conversation knows. Whole texts only.
_EMPTY_FIRST = frozenset(
    "yes yep yeah yup no nope nah ok okay k alright sure right correct exactly indeed true false "
    "fine good great perfect nice cool awesome thanks thank thx ty cheers please pls plz continue "
    "proceed go next more again carry keep resume and so then do sounds looks got understood agreed "
    "agree absolutely definitely certainly maybe perhaps hmm hm um uh oh ah wow lol haha hi hello "
    "hey bye goodbye stop wait first second third last option both either neither none all "
    "another same retry repeat redo rewrite elaborate shorter longer better simpler expand explain "
    "why how what when where who which really seriously huh sorry welcome done finish start begin "
    "now just not don't i'm it's that's let's try tell show give help the y n kk a b c d a1 well "
    "i see it that this one me you is anything something everything further".split()
)
_MAX_EMPTY_CHARS = 60
_MAX_EMPTY_WORDS = 6
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def _read(text: str) -> str:
    """Return what the word rules read: lower case, the ends of a long text, single spaces.

    Single spaces keep the patterns linear: over runs of white space, two optional gaps in a row
    are quadratic.
    """
    if len(text) > 2 * _END_CHARS:
        text = f"{text[:_END_CHARS]} {text[-_END_CHARS:]}"
    return " ".join(text.lower().replace("’", "'").split())


def is_content_free(text: str) -> bool:
    """Tell whether a message means nothing without the turns before it: "yes", "go on", "👍", "".

    A number alone ("2") picks an option and is content-free; "2 + 2" is not.
    """
    if len(text) > _MAX_EMPTY_CHARS:
        return not _WORD.search(text)
    found = _WORD.findall(text)
    if not found:
        return not any(sign in text for sign in "+*/=<>^%#$€£√∫∑")
    if len(found) > _MAX_EMPTY_WORDS:
        return False
    words = [word.lower().replace("’", "'") for word in found]
    if len(words) == 1 and (len(words[0]) == 1 or words[0].isdecimal()):
        return not any(sign in text for sign in "+*/=<>^%#$€£")
    return words[0] in _EMPTY_FIRST and all(
        word in _EMPTY_WORDS or word in _EMPTY_FIRST for word in words
    )


# ------------------------------------------------------------------------------------ personal

# What a service stores about its user: with "my" or "our" before it, the answer depends on who
# asks. "How do I reset my password" has a general answer, but the app may also have answered it
# from the user's account; the cache cannot tell which, so it counts as personal and is shared
# within the user only. "My code", "my essay", "my dog" are no such things: the text itself holds
# all there is to know, so two users who write it get the same answer.
_OWNED = (
    "orders?|packages?|parcels?|deliver(?:y|ies)|shipments?|refunds?|returns?|purchases?|accounts?"
    "|invoices?|bills?|billing|receipts?|statements?|subscriptions?|plans?|membership|balances?"
    "|payments?|payouts?|transactions?|transfers?|deposits?|withdrawals?|debit|credits?|cards?"
    "|bank|savings|checking|loans?|mortgages?|insurance|polic(?:y|ies)|claims?|pension|401k"
    "|portfolio|wallet|bitcoins?|salary|pay ?checks?|paystub|payslip|payroll|income|wages?|tax(?:es)?"
    "|tax return|w-?2|budget|spending|expenses?|debts?|rewards?|points|miles|coupons?|vouchers?"
    "|gift cards?|passwords?|passcodes?|pins?|logins?|log-in|sign-in|usernames?|user ?ids?|profiles?"
    "|settings|preferences|sessions?|api keys?|licen[cs]es?|certificates?"
    "|address(?:es)?|phone|phone number|mobile|number|cell|contacts?|e-?mails?|inbox|mails?|messages?"
    "|texts?|calls?|voicemails?|calendars?|appointments?|meetings?|schedules?|agendas?|reminders?"
    "|alarms?|to-?do|task list|shopping list|notes?|documents?|photos?|pictures?"
    "|reservations?|bookings?|flights?|trips?|itinerar(?:y|ies)|tickets?|seats?|hotel|luggage|baggage"
    "|rental|visa|passport|id|identity|ssn|social security|date of birth|dob|birthday|birth ?date|age"
    "|name|location|doctor|prescriptions?|medications?|medicines?|diagnosis|symptoms?|lab results?"
    "|test results?|scans?|records?|medical|health|blood|blood pressure|blood sugar|weight"
    "|pregnancy|period|diet|condition|disease|illness|order history|medical history|information|details|info"
    "|employee|employer|boss|manager|team|company|job|contract|lease|rent|landlord|application"
    "|status|case|complaint|grades?|scores?|gpa|transcripts?|exams?"
    "|teacher|school|professor|house|home|apartment|car|vehicle|wifi|router|modem"
    "|usage|limits?|quota|minutes|vacation|holidays?|pto|leave|days?(?:\\s+off)?|remaining|cart|basket|wishlist|playlist|favou?rites|watchlist"
    "|data|projects?|workspaces?"
    "|wife|husband|spouse|girlfriend|boyfriend|partner|ex|kids?|child(?:ren)?|son|daughter|baby"
    "|mom|mother|dad|father|mum|parents?|brother|sister|family|friend|conversation|chat|memory"
)
_MY = re.compile(
    r"\b(?=[a-z])(?:"  # one look per word for all of them
    rf"(?:my|our)\s+(?:[a-z0-9'’-]+\s+){{0,2}}?(?:{_OWNED})\b"
    r"|(?:account|order|invoice|ticket|case|customer|policy|booking|reservation|tracking|claim"
    r"|confirmation|reference|membership|member|employee|patient|student|passport|licen[cs]e"
    r"|registration|serial|routing|iban|vat|tax)\s*(?:number|no\.?|num|id|ref|code|\#)?\s*(?:is\s+"
    r"|:\s*|\#\s*|=\s*)?[a-z]{0,4}[-#]?\d[\d-]{3,}\b"
    r"|i(?:['’]ve|\s+have)?\s+(?:just\s+|already\s+|recently\s+|never\s+|still\s+|also\s+)*"
    r"(?:ordered|bought|purchased|paid|booked|reserved|subscribed|signed\s+up|cancell?ed|returned"
    r"|received|requested|transferred|deposited|withdrew|applied|registered|shipped|sent|owe|spent"
    r"|was\s+(?:charged|billed|diagnosed|prescribed|hired|fired|born)|got\s+(?:charged|billed|paid)"
    r"|been\s+(?:charged|billed|diagnosed|prescribed|locked|waiting))\b"
    r"|(?:did|do|have|am|was|were)\s+i\s+(?:just\s+|already\s+|still\s+|ever\s+)?"
    r"(?:order(?:ed)?|buy|bought|pay|paid|owe|spend|spent|get\s+paid|book(?:ed)?|been\s+charged"
    r"|charged|being\s+charged|subscribed|eligible|approved|enrolled|registered|qualify|scheduled)\b"
    r"|(?:who|where|how\s+old|how\s+tall)\s+am\s+i\b|\bremind\s+me\b|\bmy\s+name\b"
    r"|(?:of|is|are|with)\s+mine\b|\bmine\s+(?:is|are|was|has)\b"
    r"|\bwhat(?:['’]s|\s+is|\s+are|\s+was|\s+were)\s+(?:on\s+)?(?:my|our)\b"
    r"|\bwhere(?:['’]s|\s+is|\s+are)\s+(?:my|our)\b|\bwhen\s+(?:is|are|will|does|did)\s+(?:my|our)\b"
    r"|i(?:['’]m|\s+am)\s+(?:a\s+)?\d{1,3}(?:\s*-?\s*years?\s*-?\s*old|\s*(?:yo|y/o|yrs?)\b)"
    r"|i\s+(?:live|work|study|was\s+born)\s+(?:in|at|for|on)\b|\bdo\s+you\s+(?:know|remember)\s+me\b"
    r"|(?:call|text|email|message|pay|send)\s+(?:my\s+)?(?:mom|dad|mum|wife|husband|boss)\b"
    r"|(?:which|what)\s+(?:\w+\s+){1,3}am\s+i\s+(?:on|in|at|using|paying|enrolled)\b"
    r"|(?:do|did|will|can|have)\s+i\s+(?:still\s+|currently\s+)?(?:have|got|get)\s+(?:\w+\s+){0,3}(?:left|remaining)\b"
    r"|(?:stored?|saved?|registered|recorded|on\s+file|have|hold|know|keep)\s+(?:\w+\s+){0,4}(?:for|on|about)\s+me\b"
    r"|(?:about|for|on)\s+me\s+(?:stored|saved|on\s+file|in\s+your)\b"
    r"|\bssn\b|\bsocial\s+security\s+(?:number|no)\b"
    r")"
)
# What is spoken of as "the payment" when one's own is meant, if a first person or a state is near.
_HELD = (
    "orders?|packages?|parcels?|deliver(?:y|ies)|shipments?|refunds?|returns?|purchases?|accounts?"
    "|invoices?|bills?|receipts?|subscriptions?|memberships?|balances?|payments?|payouts?"
    "|transactions?|transfers?|deposits?|withdrawals?|cards?|loans?|claims?|reservations?"
    "|bookings?|appointments?|prescriptions?|vouchers?|points|passwords?|tickets?|charges?|cheques?"
    "|applications?|contracts?|replacements?"
)
_STATE = (
    "gone|go|went|come|came|arrived?|arriving|process(?:ed|ing)|through|shipped|deliver(?:ed)?"
    "|approved|cleared?|cancell?ed|confirmed|declined|rejected|failed|late|delayed|missing|lost"
    "|pending|posted|received|due|ready|stuck|on its way|refunded|paid|credited|completed?"
)
_FIRST = r"\b(?:i|i'm|i've|i'd|i'll|me|mine|myself)\b"
_THE_HELD = rf"\b(?:the|this|that|these|those) (?:[a-z-]+ )?(?:{_HELD})\b"
_SELF = re.compile(
    r"\b(?=[a-z])(?:"  # one look per word for all of them
    # "Has the refund gone through?", "When do I get the refund?", "The payment I made"
    rf"{_THE_HELD}(?: [a-z']+){{0,3}}? (?:{_STATE})\b"
    rf"|{_FIRST}(?: [a-z'-]+){{0,5}}? {_THE_HELD}|{_THE_HELD}(?: [a-z'-]+){{0,4}}? {_FIRST}"
    rf"|(?:where(?:'s| is| are)|track|status of) {_THE_HELD}"
    # what I did, was or have: nobody else did
    r"|(?:did|didn't|have|haven't|had|hadn't|was|wasn't) i\b"
    r"|(?:did|have|had|were) we (?:just |already |ever )?(?:agree|say|said|talk|discuss|decide|order|book|pay|paid|speak|spoke)"
    r"|do(?:n't)? i (?:still |currently |already |even )?have\b(?! to\b)"
    r"|do(?:n't)? i (?:still |currently |already )?(?:weigh|live|work for|qualify|earn|own)\b"
    r"|am i (?:still |already |currently |not |being |getting )*(?:logged|signed|enrolled|eligible"
    r"|registered|subscribed|approved|charged|billed|insured|covered|verified|banned|blocked"
    r"|locked|suspended|due|scheduled|paid|owed|entitled|behind on|overdrawn)\b"
    r"|(?:can't|cannot|can not|couldn't|unable to|not able to) (?:i |we )?(?:still |even )?(?:log|sign"
    r"|access|pay|withdraw|transfer|check ?out|place)\b"
    r"|can i not (?:log|sign|access|pay|withdraw|transfer|check ?out|place)\b"
    r"|i (?:was |am |got |keep getting |keep being )(?:logged|locked|kicked|banned|blocked|suspended"
    r"|overcharged|double charged|charged|billed)\b"
    r"|i (?:haven't|have not|didn't|did not|never|still haven't) (?:received?|got|gotten|get)\b"
    r"|i (?:need|want|would like|demand|am waiting for|was promised) (?:a|an) (?:refund|replacement|reimbursement)\b"
    # what I told you, and who I am
    r"|(?:who|where|how old|how tall) i am\b|\babout (?:me|myself)\b|\bi (?:told|asked) you\b"
    r"|i (?:said|mentioned|wrote|asked) (?:before|earlier|above|previously|last time|yesterday)\b"
    r"|(?:remember|recall|forgot|forget) (?:what|that|when|who|where|how) (?:i|we)\b"
    r"|(?:charged?|charging|billed?|billing|overcharged|refund(?:ed)?|owes?|owed|locked|logged|signed"
    r"|kicked|banned|blocked|reimbursed?|invoiced) me\b"
    r"|(?:will|did|has|hasn't|about|where's|where is|track|cancel|return) mine\b"
    r")"
)
# Records asked for without a word of whose they are: "list recent orders", "has it shipped?", "where
# do I work?", "my A1C is 7.2".
_RECORDS = re.compile(
    r"\b(?=[a-z])(?:"
    r"(?:list|show|display|give|get|see|view|check|find|delete|download|export|summari[sz]e|cancel)"
    r" (?:me )?(?:all |any )?(?:the )?(?:recent|latest|open|pending|past|previous|upcoming|unpaid"
    rf"|overdue|active|last|remaining) (?:[a-z-]+ )?(?:{_HELD})\b(?! of\b)"
    rf"|(?:check|see|show|tell|find out) (?:me )?the (?:[a-z-]+ )?(?:{_HELD})\b(?! of\b)"
    rf"|(?:has|did|is|was|will|when will|when does) (?:it|that|this) (?:be |been )?(?:{_STATE})\b(?! by\b)"
    r"|(?:ends?|expires?|renews?|starts?|due|applies|apply) for me\b"
    r"|where do i (?:work|live|study|bank)\b"
    r"|am i(?! (?:correct|right|wrong|allowed|supposed|able|the only|missing|doing)\b)\b"
    r"|my (?:[a-z0-9'-]+ ){1,3}(?:is|was|are|were) \d"
    r"|how (?:many|much) (?:[a-z-]+ ){0,3}(?:remains?|(?:is|are|do i have) left|have i)\b"
    r")"
)
# Somebody says who they are.
_NAMED = re.compile(
    r"\b(?:[Tt]his is|I am|I'm|[Mm]y name is|[Mm]y name's) [A-Z][a-z]+ [A-Z][a-z]+"
    r"(?=[,.;!]|\s+(?:and|from|here|with)\b|\Z)"
)
_SELF_HINT = re.compile(r"\b(?:i|i'm|i've|i'd|i'll|me|mine|myself|we|the|this|that|these|those)\b")
_MY_HINT = re.compile(r"\b(?:(?:m(?:y|ine|e)|our|i|ssn)\b|social sec)")
_DIGIT = re.compile(r"\d")
_LONG_NUMBER = re.compile(r"\d\d\d")
_MAIL = re.compile(r"@(?<=[\w.+-]@)[\w-]{1,63}\.[\w.-]{2}")
_NUMBER = re.compile(
    r"(?=[A-Z\d#+(])(?:"  # fails at once where none can begin
    r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])"  # social security
    r"|(?<![\w.,])(?:\d[ -]?){12,18}\d(?![\w.,]\d)"  # card, long account
    r"|(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?(?!\w)"  # IBAN
    r"|(?<![\w.,$€£+])\+\d{1,3}[ .-]?\(?\d{1,4}\)?(?:[ .-]?\d{2,4}){2,4}(?!\w)"  # phone, abroad
    r"|(?<![\w.,$€£])\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?!\w)"  # phone, America
    r"|(?<![\w.,$€£#])0\d{9,10}(?!\w)"
    r"|(?<![\w#])#\d{4,}(?!\w)"  # ticket
    r"|(?<![\w-])[A-Z]{2,5}-?\d{5,}(?:[A-Z]{2})?(?![\w-])"  # order, invoice, claim, parcel abroad
    r"|(?<!\w)1Z[A-Z0-9]{16}(?!\w)"  # parcel, UPS
    r"|(?<![\w.,$€£=+*/^(-])\d{8,11}(?![\w.,%]|\s{0,4}[=+*/^-]\s{0,4}\d)"  # account
    r")"
)


def is_personal(text: str) -> bool:
    """Tell whether the answer may hold or depend on data of the one who asks.

    True for what a service keeps about its user ("my order", "my password", "where is my ..."),
    for what the user says about a private matter ("I was charged twice", "has the refund gone
    through?"), for what only the user did or is ("what did I tell you?"), and for anything that
    identifies a person or a contract: mail addresses, phone, card, account, order and ticket
    numbers. False for things that the text itself holds ("my code", "my essay").
    """
    if len(text) > _MAX_READ_CHARS or _MAIL.search(text):
        return True
    has_digit = _DIGIT.search(text) is not None
    if has_digit and _NUMBER.search(text):
        return True
    words = _read(text)
    is_hinted = _MY_HINT.search(words) or (has_digit and _LONG_NUMBER.search(words))
    if is_hinted and _MY.search(words):
        return True
    if _SELF_HINT.search(words) is not None and _SELF.search(words) is not None:
        return True
    return _RECORDS.search(words) is not None or _NAMED.search(text) is not None


# ---------------------------------------------------------------------------------- time-bound

_TIME = re.compile(
    r"\b(?=[a-z\d])(?:today|tonight|tonite|tomorrow|tommorow|tomorow|yesterday|nowadays|currently|right\s+now"
    r"|at\s+(?:the|this)\s+moment|at\s+present|presently|as\s+of|up[\s-]to[\s-]date|these\s+days"
    r"|so\s+far|recent|recently|lately|latest|newest|upcoming|breaking"
    r"|trending|ongoing|live\s+(?:now|scores?|stream|streaming|updates?|coverage|match|results?)"
    r"|this\s+(?:morning|afternoon|evening|week|weekend|month|year|season|quarter|summer|winter"
    r"|spring|fall|autumn|monday|tuesday|wednesday|thursday|friday|saturday|sunday|time)"
    r"|(?:last|next|past|coming|previous)\s+(?:night|morning|evening|few|couple|week|weekend|month"
    r"|year|season|quarter|summer|winter|spring|fall|autumn|days|hour|hours|decade|game|match"
    r"|race|election|monday|tuesday|wednesday|thursday|friday|saturday|sunday|episode|flight|train"
    r"|bus|\d+\s+(?:days|weeks|months|years|hours|minutes))"
    r"|(?:a|an|\d+|few|two|three)\s+(?:second|minute|hour|day|week|month|year)s?\s+ago|just\s+now"
    r"|in\s+(?:a|an|\d+)\s+(?:minute|hour|day|week)s?\s+from\s+now|from\s+now|any\s+more|anymore"
    r"|by\s+now|until\s+now|till\s+now|since\s+when|still\s+(?:alive|open|available|in\s+stock"
    r"|working|valid|exist|playing|married|running)"
    r"|weather|forecast|temperatures?\s+(?:in|outside|at)|(?:will|is|going\s+to|gonna|does)\s+(?:it\s+)?"
    r"(?:be\s+)?(?:rain|snow|raining|snowing|sunny|cloudy|windy)(?:ing)?|humidity|pollen|air\s+quality"
    r"|aqi|uv\s+index|traffic\s+(?:in|on|near|to|at|now|report|jams?|conditions?)|news|headlines?"
    r"|(?:final|match|game|football|baseball|basketball|cricket|soccer|hockey|live|the)\s+scores?|scores?\s+of"
    r"|standings|box\s+office|stocks?\s+(?:prices?|markets?|quotes?|of|for|doing|trading)|in\s+stock"
    r"|share\s+prices?|market\s+cap|prices?|pricing|how\s+much\s+(?:is|are|for)"
    r"|costs?(?!\s*-?\s*(?:optimi|effective|efficien|function|benefit|model|accounting|matrix|based|aware|of\s+living\s+index))"
    r"|worth\s+(?:of|today|now)|how\s+much\s+(?:\S+\s+){1,4}worth|exchange\s+rates?|conversion\s+rates?|interest\s+rates?|mortgage\s+rates?"
    r"|inflation\s+rate|unemployment\s+rate|apr|rates?\s+(?:for|of|on)|bitcoin|ethereum|btc|eth|dow"
    r"|nasdaq|s&p|s\s*&\s*p|nikkei|ftse|sensex|nifty|net\s+worth|population\s+of|subscribers"
    r"|open\s+(?:now|on|today|late|at|until)|opening\s+hours|hours\s+of|opening\s+times|business\s+hours"
    r"|(?:is|are)\s+\S+(?:\s+\S+){0,4}\s+(?:open|closed|down|up|available|in\s+stock|alive|dead|out\s+yet)"
    r"|what\s+time|what['’]?s?\s+(?:is\s+)?the\s+(?:time|date)|current|time\s+(?:is\s+it|in)|what\s+day"
    r"|which\s+day|what\s+year\s+is|what\s+month|date\s+is|day\s+is|showtimes?|(?:train|bus|flight|game|match|tv)\s+schedules?|fixtures?"
    r"|timetable|now\s+playing|playing\s+(?:near|at|in)|near\s+me|nearby|nearest|closest|around\s+here"
    r"|who\s+won|who\s+is\s+winning|who['’]s\s+winning|who\s+will\s+win|who\s+is\s+(?:the\s+)?"
    r"(?:president|prime\s+minister|ceo|mayor|governor|king|queen|pope|chancellor|champion|coach"
    r"|chairman|owner|richest|captain|manager|leader)|who['’]s\s+(?:the\s+)?(?:president|prime"
    r"\s+minister|ceo|mayor|governor|king|queen|pope|chancellor|champion)|president\s+of|ceo\s+of"
    r"|prime\s+minister\s+of|how\s+old\s+is|how\s+old\s+are|is\s+\w+(?:\s+\w+)?\s+(?:still|alive|dead)"
    r"|did\s+\S+(?:\s+\S+){0,3}\s+(?:win|lose|die)|release\s+date|come\s+out|coming\s+out|out\s+yet"
    r"|when\s+(?:is|will|does)\s+(?:the\s+)?(?:next|new)|new\s+version|latest\s+version|on\s+sale"
    r"|available\s+(?:now|yet|again|for\s+sale)|availability|vacanc(?:y|ies)|job\s+openings?|hiring|deals?\s+(?:on|for|at)|best\s+deals?"
    r"|promo\s+codes?|coupons?|outages?|updates?\s+on|happening|going\s+on"
    r"|(?:order|flight|ticket|delivery|shipping|server|service|system|account|case|claim|application)\s+status|status\s+of\s+(?:the|this|our|my|an?|order|flight|shipment|ticket)"
    r"|(?:usd|eur|gbp|jpy|inr|cny|chf|euros?|dollars?|pounds?|yen|rupees?|pesos?|francs?|yuan|won)"
    r"\s+(?:to|in|into|vs|per)\s+(?:an?\s+|the\s+|us\s+)?(?:usd|eur|gbp|jpy|inr|cny|chf|euros?"
    r"|dollars?|pounds?|yen|rupees?|pesos?|francs?|yuan|won)"
    r"|(?:movies?|films?|shows?|concerts?)\s+(?:that\s+)?(?:is|are)\s+(?:out|playing|showing|on)"
    r"|near\s+\d{5}|(?:days|weeks|months|hours|minutes|long)\s+(?:until|till|is\s+left|are\s+left)"
    r"|covid|pandemic|election\s+results?|polls?|odds|lottery|jackpot)\b"
)  # fmt: skip
# "Now" as a filler opens an order: "now write a poem". Elsewhere it means the time.
_NOW = re.compile(
    r"\bnow\b(?!\s+(?:that|write|make|create|rewrite|explain|tell|give|do|let|translate|add|change"
    r"|convert|try|use|list|show|summari[sz]e|imagine|suppose|consider|please|i|you|we|can)\b)"
)


def is_time_bound(text: str) -> bool:
    """Tell whether the right answer changes with time: "today", "latest", prices, weather, news."""
    words = _read(text)
    return _TIME.search(words) is not None or ("now" in words and _NOW.search(words) is not None)


# -------------------------------------------------------------------------------- stands alone

# What opens a reply to the turn before: "and in Rome?", "what about tea?", "no, the blue one".
_REPLY = re.compile(
    r"(?:and|but|or|so|then|also|again|instead|otherwise|besides|plus|yes|yep|yeah|yup|no|nope|nah"
    r"|sure|right|exactly|actually|wait|same|ditto|more|less|another|else|too|because|such as|like"
    r"|what about|how about|what if (?:i|we|it|they)|how so|how come|why not|why so"
    r"|for (?:example|instance)|in (?:that|this|which) case|first one|second one|last one"
    r"|continue|go on|carry on|keep (?:going|on)|elaborate|rephrase|rewrite|shorten|expand|simplify"
    r"|go back|try again|redo|undo|only|just|add|include|remove|replace|put|use)\b"
)
# What opens a message that may stand alone all the same: "Thanks! What is the capital of Peru?"
_COURTESY = re.compile(
    r"(?:(?:ok|okay|thanks|thank you|thx|great|perfect|cool|nice|good|awesome|got it|i see|now|hi|hey"
    r"|hello|please|very much|a lot|so much)\b[\s,.!;-]*)+"
)
# What names something of an earlier turn, wherever it stands. A noun that says of what ("the
# difference between a and b") is no such thing.
_OF = r"(?! (?:of|for|between|in|from|that|with|when|if|on|about|behind|which|who|where|used|called|named)\b)"
_EARLIER = re.compile(
    r"\b(?:the (?:above|former|latter|previous|preceding|aforementioned|same|other|others|rest)\b"
    r"|(?:mentioned|listed|described|written|as) (?:above|before|earlier)\b|(?:^| )(?:above|aforementioned)\b"
    r"|the (?:first|second|third|fourth|fifth|last|next|other) (?:one|option|step|answer|point|example"
    r"|paragraph|sentence|part|line|question|item|choice|method|approach|suggestion|idea|solution"
    rf"|version|bullet|half|section){_OF}"
    r"|(?:step|option|point|item|bullet|paragraph|example|answer|number) (?:\d+|one|two|three|four|five|[a-e])\b"
    r"|the (?:differences?|advantages?|disadvantages?|benefits?|drawbacks?|downsides?|(?:pros and )?cons|pros(?! and)"
    r"|cost|risks?|point|alternatives?|purpose|side effects|code|response|result|output|list|text"
    r"|story|poem|essay|e-?mail|letter|message|table|examples?|explanation|summary|script|function"
    r"|recipe|sentence|paragraph|title|conclusion|intro|ending|error|solution|question|steps|answers"
    rf"|joke|song|plot|tone|wording){_OF}\b"
    r"|the answer(?! to)\b"
    r"|you(?:'ve| have| had|'d)? (?:just )?(?:said|mentioned|wrote|told|suggested|gave|listed|meant|recommended"
    r"|described|explained|provided|proposed|used)\b|(?:do|did) you (?:just )?(?:mean|say|suggest|use|forget|write)\b"
    r"|your (?:last|previous|first|earlier|answer|response|explanation|examples?|code|suggestions?|solution"
    r"|summary|list|reply|point|story|poem)\b"
    r"|my (?:last|previous|first|earlier|original) (?:question|message|prompt|request)\b"
    r"|(?:another|any other|other|any more|some more|a few more|few more|\d+ more|two more|three more|one more"
    r"|more) (?:ones?|examples?|ways?|options?|ideas?|versions?|details?|questions?|reasons?|suggestions?"
    rf"|alternatives?|information|names|titles|tips){_OF}"
    r"|(?:what|anything|something|who|where|how|anyone|someone|which|nothing) else\b|else$"
    r"|(?:can|could|does|is|do|will|would|should|are) (?:you|i|we|he|she|they)? ?also(?! (?:known|called))\b"
    r"|instead(?! of)\b|again\b|(?:too|either|as well)$|back then\b|so far\b"
    r"|(?:do|does|did|doing|done|think|say|mean) so\b|(?:which|what|how|who|where|when|why) then\b|then$"
    r"|(?:which|this|that|the|another|each|a|\w+er|\w+est|red|blue|green|black|white|big|small|new|old"
    r"|best|last|next|first|second|other) ones?(?=[,.?!]|$| (?:is|are|was|were|do|does|should|would|has|have|can|will)\b)"
    r"|\bones\b)"
)
_BACK = re.compile(
    r"\b(?:he|she|they|him|them|his|her|hers|their|theirs|himself|herself|themselves|it|its|itself"
    r"|this|that|these|those|there|he's|she's|they're|they've|it's|that's|there's|it'll|that'll)\b"
)
# "It" and "there" that stand for nothing: "is it safe to ...", "how long does it take", "are there".
_EMPTY_IT = re.compile(
    r"\b(?:(?:is|was|be|isn't|would|will|does|can|could|might|may|makes?|when|if|why is|find) it"
    r"(?: be)?(?: (?:so|very|really|still|more|not|ever|actually))?"
    r" (?:possible|impossible|safe|legal|illegal|true|better|best|ok|okay|normal|worth|necessary|good|bad"
    r"|hard|harder|easy|easier|difficult|rude|common|important|dangerous|healthy|cheaper|faster|wrong|fair"
    r"|called|take|cost|mean|rains?|raining|snows?|snowing|likely|correct|advisable|ethical|sense|considered"
    r"|too late|a good idea|a bad idea|required|mandatory|polite|customary)(?= \w)(?! in there)"
    r"|it (?:takes?|rains?|snows?|is (?:possible|true|said|known|raining|snowing|important|legal))(?= \w)"
    r"|make it possible to|(?:is|are|was|were|be|been|isn't|aren't|wasn't|weren't|has|have|can|will|would) there"
    r"|there (?:is|are|was|were|be|been|will|would|exists?|has|have|must|should|can)|there's)\b"
)
# "That" which joins two clauses, or a noun and what is said of it: "prove that", "a list that is".
_POINTING_THAT = frozenset(
    "is was are were does did do done about of for in with like from on at to by after before than as and or "
    "if can could would will should may might must why how what when where explain fix change use make "
    "translate try using doing mean understand write add remove put give like want need about because not "
    "shorten rewrite summarize run solve call expand convert into over under without through".split()
)
_THAT = re.compile(r"(?<!\S)(?:(\S{1,40}) )?that(?= [\w'\"(])(?! \w+ly$)")
# What a message brings along: a text behind a colon, on further lines, or in quotes.
_MATERIAL = re.compile(r":\s+\S|\S\n|[\"“`«]\w[^\"”`»]{8,}|\s'\w[^']{8,}'")
_CLAUSE = re.compile(
    r"[,;.!?:]\s|\b(?:and|but|if|because|so|when|while|or|before|after|since|to|who|whose|where)\b"
)
_ASKING = re.compile(
    r"(?:(?:what|who|when|where|why|how|which|whose|is|are|was|were|do|does|did|can|could|should|will|would"
    r"|has|have|define|explain|describe|translate|write|list|name|compare|solve|summarize|calculate|convert"
    r"|tell|show|give|find|create|make|draw|generate|recommend|suggest|implement|prove)(?:'s|'re)?)\b"
)
# A question that leaves out what it asks of: "how many calories?", "which is cheaper?"
_CUT_SHORT = re.compile(
    r"(?:how (?:many|much|long|far|old|big|often|tall|deep|fast|expensive)|which|what (?:kind|type|time))(?: \S+)?$"
    r"|(?:which|who|what) (?:is|are|was|were|would be|do you \w+)(?: the)?"
    r" (?:\w+er|\w+est|best|worst|better|worse|more \w+|most \w+)$"
    r"|which (?:would|should|do|can) (?:you|i|we) \w+$|what (?:are|were) the(?: \w+)? \w+s$"
    r"|(?:give|show|tell) me (?:\w+ )?more$|(?:is|are) there (?:a |an |any )?(?:\w+ )?alternatives?$"
)
_PREPOSITION = re.compile(
    r"(?:in|for|with|to|from|at|on|about|without|by|of|as|using|before|after|until|under|per)\b"
)
_LITTLE = frozenset(
    "a an the is are was were be do does did can could should will would may might must have has had i you we me us "
    "my your our what who when where why how which of in on at to for from with by about as and or but if so not no "
    "please just really very much many now then there here ok okay great thanks good nice answer think know mean say".split()
)


def stands_alone(text: str) -> bool:
    """Tell whether a message means the same without the turns before it.

    False for what points back ("how old is he?", "and in Rome?", "the second option", "make that
    shorter") and for fragments ("in French", "how many?"). A pronoun may point to something that
    the message itself names before it: "I have a cat, is it a mammal?". Where the rule cannot
    tell, it says False. Nothing is served for what it says; it only counts.
    """
    if is_content_free(text):
        return False
    words = _read(text).rstrip("?!. ")
    courtesy = _COURTESY.match(words)
    if courtesy is not None:
        words = words[courtesy.end() :]
    if not words or _REPLY.match(words) or _is_fragment(words):
        return False
    if _MATERIAL.search(text.strip()):
        return True
    return _EARLIER.search(words) is None and not _points_back(words)


def _is_fragment(words: str) -> bool:
    n_words = len(words.split())
    if n_words <= 4 and _PREPOSITION.match(words):
        return True
    if n_words <= 2 or (n_words == 3 and not _ASKING.match(words)):
        return True
    return _CUT_SHORT.match(words) is not None


def _points_back(words: str) -> bool:
    """Tell whether a pronoun stands for something that no earlier clause of the message names."""
    words = _EMPTY_IT.sub(" ", words)
    words = _THAT.sub(_without_joining_that, words)
    pronoun = _BACK.search(words)
    if pronoun is None:
        return False
    before = words[: pronoun.start()]
    end = max((clause.end() for clause in _CLAUSE.finditer(before)), default=0)
    return sum(word not in _LITTLE for word in _WORD.findall(before[:end])) < 2


def _without_joining_that(found: re.Match[str]) -> str:
    word = found[1]
    is_pointing = word is None or word in _POINTING_THAT or not word[-1].isalnum()
    return found[0] if is_pointing else word
