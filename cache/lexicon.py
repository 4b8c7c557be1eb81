"""The words the guards know: opposites, rivals, units, number words and names. All English.

Three tables are built once at import, each from a form as it stands in a lower-cased text:

- ``SENSES``: form -> ``Sense``, everything one word can mean to a guard;
- ``PHRASES``: first word -> longer names ("new york"), as they are read before single words;
- ``POLAR_GROUPS``: the groups of two opposite sides, where "not" before one means the other.

A *group* has two or more *sides*; words of one side mean the same, words of two sides exclude
each other: "increase" against "decrease", "red" against "blue". Sides are written ``a b | c``.
"""
# ruff: noqa: E501  (word lists and tables are read as text)

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

# ------------------------------------------------------------------------------------ opposites

_VERBS = """
enable activate | disable deactivate
pause suspend | resume unpause
pause | cancel
increase raise boost | decrease reduce lower diminish
maximize maximise | minimize minimise
gain | lose
win | lose
buy purchase | sell
import | export
lock | unlock
install | uninstall
open | close shut
start begin launch commence | stop end finish quit terminate halt cease
accept approve | reject decline refuse deny
allow permit | forbid prohibit ban block prevent disallow
upload | download
encrypt | decrypt
encode | decode
compress zip | decompress unzip
attach | detach
connect | disconnect
subscribe | unsubscribe
follow | unfollow
block ban | unblock unban
mute silence | unmute
hide | show unhide reveal display
pass | fail
succeed | fail
deposit | withdraw
borrow | lend
lend | borrow
hire recruit employ | fire dismiss sack
push | pull
add insert append | remove delete subtract
create make | delete destroy
build construct | demolish destroy
save | delete
save | spend
save | waste
earn | spend
expand | collapse shrink contract
expand | shrink contract compress
grow | shrink
enter | exit leave
arrive | depart leave
ascend | descend
attack | defend
strengthen | weaken
lengthen | shorten
widen | narrow
tighten | loosen
brighten lighten | darken dim
heat warm | cool chill
freeze | thaw melt defrost unfreeze
inflate | deflate
fill | empty
include | exclude omit
join | leave quit
merge combine | split separate
assemble | disassemble dismantle
load | unload
mount | unmount
plug | unplug
wrap | unwrap
zip | unzip
fold | unfold
dress | undress
tie | untie
pack | unpack
archive | unarchive
pin | unpin
hibernate | wake
remember recall memorize | forget
love adore | hate despise
enjoy | dislike hate
agree | disagree
appear | disappear vanish
approve | disapprove
trust | distrust mistrust
obey | disobey
prove | disprove
qualify | disqualify
continue | discontinue
appreciate | depreciate
inhale | exhale
live survive | die
sleep | wake
laugh | cry
sit | stand
float | sink
rise | fall drop
ask | answer
question | answer
teach | learn
give | take
give | receive
send | receive
throw | catch
cause | prevent cure
cause | cure treat
damage harm | repair fix heal
break | fix repair
praise compliment | criticize criticise blame
reward | punish
encourage | discourage
support endorse | oppose
confirm | deny
admit | deny
legalize legalise | criminalize criminalise ban outlaw
invest | divest
inherit | bequeath
promote | demote
upgrade | downgrade
overestimate | underestimate
multiply | divide
zoom | unzoom
accelerate speed | decelerate slow brake
advance | retreat
encrypt | decipher
convict | acquit
grant | revoke
register enroll enrol | unregister deregister unenroll
verify | falsify
validate | invalidate
marry wed | divorce
adopt | abandon
vote | abstain
charge | discharge
charge | refund
debit | credit
overcook | undercook
overpay | underpay
overweight | underweight
stick | unstick
bind | unbind
link | unlink
friend | unfriend
freeze | unfreeze
arm | disarm
assume | disprove
possess | lack
attract | repel
absorb | emit
combine | separate
comment | uncomment
indent | unindent dedent
select | deselect unselect
check | uncheck
group | ungroup
do | undo
undo | redo
serialize | deserialize
marshal | unmarshal
allocate | deallocate free
acquire | release
push | pop
enqueue | dequeue
publish | unpublish
deploy | undeploy rollback
commit | rollback
"""

_ADJECTIVES = """
good great excellent | bad awful terrible
good | evil
fast quick rapid | slow
high | low
big large huge | small little tiny
long | short
tall | short
hot | cold
warm | cool
hard difficult | easy simple
hard | soft
hard | easy
heavy | light
dark | light bright
strong | weak
rich wealthy | poor
cheap inexpensive affordable | expensive costly
old | new
old | young
early | late
full | empty
deep | shallow
wide broad | narrow
thick | thin
fat | thin slim skinny
loud | quiet silent
clean | dirty
wet | dry
safe | dangerous unsafe risky
safe | unsafe
happy | sad unhappy
nice | nasty
cruel | gentle
polite | rude
brave | cowardly
smart clever intelligent | stupid dumb
beautiful pretty attractive | ugly
true | false
right correct | wrong incorrect
positive | negative
public | private
legal lawful | illegal unlawful
moral ethical | immoral unethical
possible | impossible
visible | invisible
internal inner | external outer
domestic national | international foreign
inner | outer
major | minor
maximum max | minimum min
upper | lower
vertical | horizontal
single unmarried | married
alive living | dead
present | absent
guilty | innocent
healthy | sick ill unhealthy
sweet | sour bitter
raw | cooked
fresh | stale rotten
sharp | blunt dull
smooth | rough
tight | loose
open | closed shut
wireless cordless | wired corded
online | offline
synchronous sync | asynchronous async
static | dynamic
mutable | immutable
active | inactive
active | passive
direct | indirect
formal | informal casual
finite | infinite
odd | even
prime | composite
linear | nonlinear
conscious | unconscious
voluntary | involuntary
permanent | temporary
optional | mandatory required compulsory
required | optional
ancient | modern
urban | rural
liberal | conservative
optimistic | pessimistic
generous | stingy selfish
introverted introvert | extroverted extrovert
lucky | unlucky
common | rare uncommon
normal | abnormal
natural | artificial synthetic
organic | inorganic
acidic | alkaline basic
solid | liquid
analog analogue | digital
manual | automatic
qualitative | quantitative
vegetarian vegan | carnivorous
left | right
main primary | secondary
first | last
next | previous
past | future
former | latter
senior | junior
asleep | awake
pregnant | nonpregnant
sober | drunk
superior | inferior
benign | malignant
acute | chronic
oral | topical
hyper | hypo
inclusive | exclusive
incoming inbound | outgoing outbound
busy | idle
tame | wild
calm | anxious nervous
proud | ashamed humble
patient | impatient
lazy | hardworking diligent
honest | dishonest
loyal | disloyal
fair | unfair foul
serious | playful frivolous
important | insignificant unimportant
wise | foolish unwise
same | different
logical | illogical incoherent
probable likely | improbable unlikely
normal | paranormal
natural | supernatural
familiar | unfamiliar
valid | invalid
deaf | hearing
real | nominal
useful helpful | useless
careful | careless
powerful | powerless
harmless | harmful
hopeful | hopeless
painful | painless
lossy | lossless
stateful | stateless
sensitive | insensitive
certain sure | uncertain unsure
able | unable
employed | unemployed
popular | unpopular
successful | unsuccessful
known | unknown
paid | unpaid free
used secondhand | new
brutal | gentle
subjective | objective
concrete | abstract
explicit | implicit
convex | concave
opaque | transparent
mild | severe
benefit advantage pro | drawback disadvantage con
vacant | occupied
fertile | infertile barren
fictional | real
fake | real genuine
front | back rear
ascending | descending
reversible | irreversible
local | global
local | remote
"""

_NOUNS = """
advantage benefit pro strength upside | disadvantage drawback con weakness downside
success | failure
profit | loss
profit gain | loss
credit | debit
asset | liability
income revenue | expense cost
supply | demand
input | output
cause | effect
cause reason | cure remedy
question | answer
problem | solution
friend | enemy
winner | loser
buyer customer | seller vendor
employer | employee
teacher | student
landlord | tenant
lender | borrower
host | guest
predator | prey
heaven | hell
war | peace
love | hatred
day daytime | night nighttime
sunrise dawn | sunset dusk
noon midday | midnight
beginning | ending
entrance | exit
arrival | departure
birth | death
marriage wedding | divorce
victory | defeat
majority | minority
optimist | pessimist
introvert | extrovert
truth | lie
fact | myth fiction
fact | opinion
strength | weakness
height | depth
length | width
surplus | deficit
inflation | deflation
acid | base
proton | electron
anode | cathode
prefix | suffix
synonym | antonym
numerator | denominator
ceiling | floor
summer | winter
client | server
frontend | backend
hardware | software
encryption | decryption
installation | uninstallation
activation | deactivation
increase rise | decrease reduction drop
upload | download
import | export
hypertension | hypotension
hyperglycemia | hypoglycemia
hyperthyroidism | hypothyroidism
constipation | diarrhea
diagnosis | treatment
symptom | treatment
symptom | cause
vowel | consonant
latitude | longitude
plaintiff prosecution | defendant defense
peak | trough
lead | lag
import | export
encoder | decoder
transmitter sender | receiver recipient
knowledge | ignorance
pleasure | pain
comedy | tragedy
hero protagonist | villain antagonist
immigration immigrant | emigration emigrant
evaporation | condensation
mitosis | meiosis
virus | bacteria
artery | vein
anabolic | catabolic
sympathy | apathy
deposit | withdrawal
refund | charge
"""

_WORDS = """
best finest greatest | worst
better | worse
best | worst
more | less fewer
most | least fewest
many much | few little
before | after
always | never
everyone everybody all | nobody none
everything | nothing
everywhere | nowhere
above | below beneath
inside | outside
indoors indoor | outdoors outdoor
upstairs | downstairs
forward forwards | backward backwards
clockwise | counterclockwise anticlockwise
often frequently | rarely seldom
up | down
on | off
in | out
over | under
for | against
pros | cons
dos | donts
plus | minus
yes | no
entry-level | senior-level
left-handed | right-handed
short-term | long-term
part-time | full-time
low-level | high-level
open-source | closed-source proprietary
pre | post
uphill | downhill
upstream | downstream
underground | aboveground
overnight | daytime
including | excluding except
despite | because
even | odd
must | mustn't
lossless | lossy
inpatient | outpatient
prenatal | postnatal
preoperative | postoperative
prewar | postwar
proactive | reactive
monogamy | polygamy
heterosexual straight | homosexual gay
theist believer | atheist
nearest closest | farthest furthest
near close | far
minimum | maximum
sooner | later
sooner earlier | later
downvote | upvote
downvotes | upvotes
downvoted | upvoted
login signin | logout signoff signout
"""

_IRREGULAR = {
    "buy": "bought", "sell": "sold", "win": "won winning", "lose": "lost", "rise": "rose risen",
    "fall": "fell fallen", "begin": "began begun beginning", "give": "gave given",
    "take": "took taken", "send": "sent", "teach": "taught", "learn": "learnt",
    "catch": "caught", "throw": "threw thrown", "build": "built", "forget": "forgot forgotten",
    "freeze": "froze frozen", "unfreeze": "unfroze unfrozen", "lend": "lent", "hide": "hid hidden",
    "show": "shown", "sit": "sat", "stand": "stood", "sleep": "slept", "wake": "woke woken",
    "break": "broke broken", "make": "made", "grow": "grew grown", "sink": "sank sunk",
    "bind": "bound", "unbind": "unbound", "die": "died dying", "lie": "lied lying",
    "tie": "tied tying", "untie": "untied untying", "spend": "spent", "shrink": "shrank shrunk",
    "do": "", "undo": "undid undone", "redo": "redid redone", "withdraw": "withdrew withdrawn",
    "deny": "denied", "put": "putting", "split": "splitting", "cut": "cutting", "leave": "",
    "split ": "", "live": "lived living", "free": "freed", "feed": "fed", "shut": "shutting",
    "good": "", "bad": "", "quit": "quitting",
}  # fmt: skip

# Opposites that often are two ways to ask for one thing ("why is it bad", "is it any good"; "who
# teaches it", "where to learn it"): they tell where they are the only difference.
WEAK_OPPOSITES = frozenset(
    "good bad better worse right wrong true false known unknown possible impossible safe dangerous "
    "legal illegal answer answers answered answering question questions ask asks asked asking "
    "learn learns learned learning learnt teach teaches teaching taught forget forgot forgotten "
    "remember in out on off for against everything nothing everyone nobody all none always never "
    "same different yes no give gives given take takes taken day night days nights late early "
    "break broke broken fix make makes made die dies died survive survives survived live "
    "problem problems solution solutions up down over under".split()
)

# ------------------------------------------------------------------------- rivals, one group each

_RIVALS = {
    "month": "january jan | february feb | march | april apr | may | june jun | july jul | "
    "august aug | september sep sept | october oct | november nov | december dec",
    "weekday": "monday mondays | tuesday tuesdays tue tues | wednesday wednesdays | "
    "thursday thursdays thu thur thurs | friday fridays fri | saturday saturdays | "
    "sunday sundays | weekend weekends | weekday weekdays",
    "season": "spring springtime | summer summers | autumn autumns fall | winter winters",
    "time of day": "morning mornings | afternoon afternoons | evening evenings | night nights",
    "meal": "snack snacks | breakfast breakfasts | lunch lunches | dinner dinners supper | brunch",
    "direction": "north northern | south southern | east eastern | west western | "
    "northeast northeastern | northwest northwestern | southeast southeastern | "
    "southwest southwestern",
    "colour": "red reddish | orange | yellow yellowish | green greenish | blue bluish | purple violet | "
    "pink pinkish | brown brownish | black | white | grey gray | turquoise | beige | magenta",
    "he": "he him his himself | she her hers herself",
    "kin": "mother mom mum mothers moms mommy mummy | father dad fathers dads daddy | "
    "sister sisters | brother brothers | son sons | daughter daughters | wife wives | "
    "husband husbands | girlfriend girlfriends gf | boyfriend boyfriends bf | aunt aunts | "
    "uncle uncles | niece nieces | nephew nephews | grandmother grandma | grandfather grandpa | "
    "cousin cousins | fiance | fiancee",
    "sex": "man men guy guys male males gentleman gentlemen boy boys | woman women lady ladies "
    "female females girl girls",
    "planet": "mercury | venus | earth | mars | jupiter | saturn | uranus | neptune | pluto | moon | sun",
    "animal": "cat cats kitten kittens kitty | dog dogs puppy puppies pup | horse horses pony | cow cows | "
    "goat goats | sheep lamb | pig pigs | chicken chickens | duck ducks | rabbit rabbits bunny | "
    "hamster hamsters | snake snakes | lizard lizards | turtle turtles tortoise | fish fishes | "
    "parrot parrots | mouse mice | rat rats | lion lions | tiger tigers | bear bears | "
    "elephant elephants | monkey monkeys | wolf wolves | fox foxes | spider spiders | "
    "ant ants | bee bees | frog frogs | shark sharks | whale whales | dolphin dolphins",
    "body": "face | neck | shoulder shoulders | arm arms | elbow elbows | wrist wrists | "
    "hand hands | finger fingers | thumb thumbs | chest | hip hips | leg legs | "
    "thigh thighs | knee knees | ankle ankles | foot feet | toe toes | nose | ear ears | eye eyes | "
    "mouth | tooth teeth | tongue | throat | skin | hair | scalp | lung lungs | heart | liver | "
    "kidney kidneys | brain | spine | heel heels | stomach belly tummy abdomen | jaw | rib ribs | bladder | prostate | pancreas | colon | ovary ovaries | uterus",
    "metal": "gold golden | silver | bronze | copper | iron | steel | aluminum aluminium | zinc | "
    "platinum | titanium | nickel | uranium | lithium | sodium | potassium | calcium | "
    "magnesium | hydrogen | helium | oxygen | nitrogen | carbon | chlorine | sulfur sulphur",
    "religion": "christianity christian christians | islam muslim muslims islamic | "
    "hinduism hindu hindus | buddhism buddhist buddhists | judaism jew jews jewish | "
    "sikhism sikh sikhs | catholicism catholic catholics | protestantism protestant protestants | "
    "jainism jain jains | mormonism mormon mormons",
    "sport": "football | soccer | basketball | baseball | cricket | tennis | golf | hockey | "
    "rugby | volleyball | badminton | swimming | boxing | wrestling | chess | poker | karate | judo",
    "instrument": "guitar | piano | violin | drums drum | flute | cello | saxophone | trumpet | ukulele",
    "drink": "coffee | tea | milk | beer | wine | vodka | whiskey whisky | rum | gin | juice | "
    "water | soda",
    "fruit": "apples | banana bananas | mango mangoes mangos | grape grapes | lemon lemons | "
    "strawberry strawberries | pear pears | peach peaches | cherry cherries | coconut coconuts | "
    "pineapple pineapples | watermelon watermelons | avocado avocados | tomato tomatoes | "
    "potato potatoes | onion onions | carrot carrots | garlic | spinach | broccoli | cabbage",
    "meat": "beef | pork | lamb | chicken | turkey | salmon | tuna | shrimp",
    "currency": "dollar dollars usd | euro euros eur | pound pounds sterling gbp | yen jpy | "
    "rupee rupees inr rs | yuan renminbi cny rmb | won krw | ruble rubles rub | franc francs chf | "
    "peso pesos mxn | lira | rand zar | bitcoin bitcoins btc | ethereum ether eth | dogecoin doge | "
    "litecoin ltc | cent cents | aud | cad",
    "language": "python | java | javascript js | typescript ts | ruby | rust | golang | php | perl | "
    "kotlin | swift | scala | haskell | matlab | fortran | cobol | lua | julia | bash | powershell | "
    "c++ cpp | c# csharp | f# fsharp | clojure | elixir | erlang | ocaml | groovy | sql | html | css | "
    "vba | assembly | dart | prolog | lisp | solidity | objective-c | awk | sed | "
    "pascal | delphi",
    "library": "react reactjs react.js | angular angularjs | vue vuejs vue.js | svelte | jquery | "
    "django | flask | fastapi | rails | laravel | spring-boot springboot | express expressjs | "
    "nodejs node.js node | pandas | polars | numpy | tensorflow | pytorch torch | keras | sklearn scikit-learn | "
    "matplotlib | seaborn | plotly | hadoop | spark pyspark | hibernate | nextjs next.js | nuxt | "
    "bootstrap | tailwind | .net dotnet | flutter | xamarin | ionic",
    "store": "mysql | postgresql postgres | sqlite | oracle | mongodb mongo | redis | cassandra | "
    "mariadb | dynamodb | elasticsearch | snowflake | bigquery | neo4j | kafka | rabbitmq",
    "os": "windows | linux | macos osx mac macbook | ubuntu | debian | fedora | centos | redhat rhel | "
    "android | ios iphone iphones ipad ipads | chromeos chromebook | unix | freebsd | archlinux | "
    "kubuntu | xubuntu | lubuntu | mint",
    "app": "facebook fb | instagram ig insta | twitter | whatsapp | snapchat | tiktok | youtube | "
    "linkedin | reddit | quora | telegram | skype | zoom | slack | discord | tinder | pinterest | "
    "tumblr | gmail | outlook | yahoo | hotmail | netflix | hulu | spotify | paypal | venmo | uber | "
    "lyft | airbnb | ebay | amazon | flipkart | wikipedia | google | bing | signal | viber | wechat",
    "browser": "chrome chromium | firefox mozilla | safari | opera | edge | brave",
    "office": "excel | word | powerpoint | onenote | photoshop | illustrator | indesign | notepad | "
    "autocad | blender | figma | sketch | canva | gimp | latex",
    "company": "microsoft | apple | samsung | sony | nokia | huawei | xiaomi | motorola | lenovo | "
    "dell | hp hewlett-packard | asus | acer | toshiba | intel | amd | nvidia | ibm | cisco | sap | "
    "tesla | toyota | honda | ford | bmw | audi | mercedes mercedes-benz | volkswagen vw | nissan | hyundai | "
    "kia | ferrari | porsche | walmart | nike | adidas | starbucks | mcdonalds | infosys | tcs | "
    "wipro | accenture | deloitte | openai | anthropic | boeing | airbus | verizon | comcast",
    "cloud": "aws | azure | gcp | heroku | digitalocean | vercel | netlify",
    "tool": "docker | kubernetes k8s | jenkins | ansible | terraform | git | svn | mercurial | maven | "
    "gradle | npm | yarn | pip | conda | poetry | vim | emacs | nano | eclipse | intellij | "
    "netbeans | vscode | pycharm | xcode | gnome | kde | unity | xfce | nautilus | apache | nginx | wine",
    "host": "github | gitlab | bitbucket | dropbox | onedrive | icloud",
    "format": "pdf pdfs | doc docx | xls xlsx | csv | tsv | json | xml | yaml yml | toml | jpg jpeg | "
    "png | gif | svg | bmp | tiff | webp | mp3 | mp4 | wav | flac | avi | mkv | mov | epub | mobi | "
    "rtf | markdown | iso | rar | tar | ppt pptx | parquet | avro",
    "degree": "bachelor bachelors undergraduate bsc btech | master masters msc mtech postgraduate | "
    "phd doctorate | mba | diploma",
    "exam": "gre | gmat | toefl | ielts | upsc ias | cfa | jee | neet | lsat | mcat | ssc | gate",
    "vitamin": "cholesterol | glucose sugar | insulin | testosterone | estrogen oestrogen | cortisol",
    "illness": "diabetes diabetic | cancer | asthma | flu influenza | malaria | dengue | tuberculosis tb | "
    "pneumonia | hiv aids | hepatitis | arthritis | epilepsy | dementia | alzheimer alzheimers | "
    "parkinson parkinsons | autism | adhd | bronchitis | covid coronavirus | cholera | leukemia | "
    "lymphoma | melanoma | stroke | migraine migraines | eczema | psoriasis | anemia",
    "drug": "ibuprofen advil | aspirin | paracetamol acetaminophen tylenol | metformin | insulin | "
    "amoxicillin | penicillin | morphine | codeine | warfarin | prozac fluoxetine | xanax alprazolam | "
    "viagra sildenafil | cocaine | heroin | marijuana weed cannabis | lsd | mdma ecstasy | "
    "methamphetamine meth | nicotine | caffeine | alcohol | naproxen aleve | lisinopril",
    "arithmetic": "sum | product | quotient | median | variance | perimeter | circumference | "
    "diameter | radius | derivative | integral",
    "shape": "circle | square | rectangle | triangle | sphere | cube | cylinder | cone | pyramid",
    "file": "folder folders directory directories | email emails",
    "transport": "flight flights plane airplane | train trains | bus buses | taxi cab | ferry | "
    "bicycle bike bikes | car cars | motorcycle motorbike",
    "interval": "daily | weekly | monthly | yearly annually annual | hourly | quarterly",
}  # fmt: skip

_PLACES = """
afghanistan afghan afghans | albania albanian | algeria algerian | angola angolan | argentina argentine argentinian
armenia armenian | australia australian australians aussie | austria austrian | azerbaijan | bahamas | bahrain
bangladesh bangladeshi | barbados | belarus belarusian | belgium belgian | bhutan | bolivia bolivian | bosnia
botswana | brazil brazilian brazilians | bulgaria bulgarian | burma myanmar burmese | cambodia cambodian | cameroon
canada canadian canadians | chile chilean | china chinese | colombia colombian | congo | croatia croatian
cuba cuban | cyprus | czechia czech | denmark danish | ecuador | egypt egyptian egyptians | eritrea | estonia estonian
ethiopia ethiopian | fiji | finland finnish | france french | gambia | georgia georgian | germany german germans
ghana ghanaian | greece greek greeks | guatemala | guyana | haiti haitian | honduras | hungary hungarian
iceland icelandic | india indian indians | indonesia indonesian | iran iranian iranians | iraq iraqi | ireland irish
israel israeli israelis | italy italian italians | jamaica jamaican | japan japanese | jordan jordanian
kazakhstan kazakh | kenya kenyan | kuwait | laos | latvia latvian | lebanon lebanese | liberia | libya libyan
lithuania lithuanian | luxembourg | madagascar | malawi | malaysia malaysian | maldives | mali | malta maltese
mauritius | mexico mexican mexicans | moldova | monaco | mongolia mongolian | montenegro | morocco moroccan
mozambique | namibia | nepal nepali nepalese | netherlands dutch holland | nicaragua | nigeria nigerian nigerians
norway norwegian | oman | pakistan pakistani pakistanis | palestine palestinian palestinians | panama | paraguay
peru peruvian | philippines filipino filipinos | poland polish | portugal portuguese | qatar | romania romanian
russia russian russians | rwanda | senegal | serbia serbian | singapore singaporean | slovakia slovak | slovenia
somalia somali | spain spanish | sudan | sweden swedish | switzerland swiss | syria syrian syrians | taiwan taiwanese
tanzania | thailand thai | tibet tibetan | tunisia tunisian | turkey turkish | uganda | ukraine ukrainian | uruguay
usa american americans america us-of-a | uk british britain britons | england english | scotland scottish | wales welsh
greenland | burundi | niger | chad | lesotho | samoa | eswatini swaziland | mauritania | djibouti | macao macau | tuvalu
togo | benin | gabon | guinea | suriname | belize | andorra | liechtenstein | brunei | tonga | vanuatu | kiribati | palau
nauru | micronesia | seychelles | comoros | kyrgyzstan | tajikistan | turkmenistan | grenada | dominica | trinidad
uzbekistan | venezuela venezuelan | vietnam vietnamese | yemen | zambia | zimbabwe | kosovo | macedonia
kashmir kashmiri | europe european europeans | asia asian asians | africa african africans | antarctica | uae
arabic | hebrew | latin | hindi | urdu | tamil | telugu | bengali | punjabi | gujarati | marathi | kannada
malayalam | sanskrit | mandarin | cantonese | korean | persian farsi | swahili | esperanto | kurdish | catalan
paris parisian | london | berlin | madrid | rome | lisbon | vienna | brussels | amsterdam | copenhagen | stockholm
oslo | helsinki | dublin | edinburgh | glasgow | manchester | liverpool | birmingham | cambridge | oxford | bristol
warsaw | prague | budapest | bucharest | sofia | athens | istanbul | ankara | moscow | kiev kyiv | minsk | riga
vilnius | tallinn | zurich | geneva | munich | frankfurt | hamburg | cologne | stuttgart | milan | venice | florence
naples | turin | barcelona | valencia | seville | porto | lyon | marseille | bordeaux | antwerp | rotterdam | reykjavik
cairo | alexandria | casablanca | marrakech | tunis | algiers | lagos | abuja | accra | nairobi | johannesburg | durban
pretoria | kampala | harare | kinshasa | dakar | khartoum | tripoli | tehran | baghdad | damascus | beirut | jerusalem
amman | riyadh | jeddah | mecca | medina | dubai | doha | muscat | manama | gaza | kabul | karachi | lahore
islamabad | peshawar | delhi | mumbai bombay | bangalore bengaluru | chennai madras | kolkata calcutta
hyderabad | pune poona | ahmedabad | jaipur | lucknow | kanpur | nagpur | indore | bhopal | patna | surat
chandigarh | kochi cochin | coimbatore | noida | gurgaon gurugram | mysore mysuru | goa | kerala | gujarat
maharashtra | karnataka | rajasthan | punjab | bihar | assam | odisha orissa | telangana | dhaka | kathmandu | colombo
bangkok | phuket | hanoi | saigon | jakarta | bali | manila | beijing peking | shanghai | shenzhen | guangzhou
chengdu | wuhan | taipei | tokyo | osaka | kyoto | seoul | busan | pyongyang | ulaanbaatar | sydney | melbourne
brisbane | perth | adelaide | canberra | auckland | wellington | christchurch | toronto | vancouver | montreal
ottawa | calgary | edmonton | winnipeg | quebec | ontario | alberta | manitoba | saskatchewan | havana | kingston
bogota | medellin | quito | lima | santiago | caracas | montevideo | brasilia | cancun | tijuana | guadalajara
new-york nyc | manhattan | brooklyn | chicago | houston | phoenix | philadelphia philly | dallas | austin | denver | seattle
boston | detroit | memphis | nashville | baltimore | milwaukee | albuquerque | tucson | fresno | sacramento | atlanta
miami | omaha | oakland | minneapolis | tulsa | cleveland | wichita | arlington | tampa | orlando | pittsburgh
cincinnati | anchorage | honolulu | louisville | indianapolis | charlotte | jacksonville | raleigh | richmond | buffalo
alabama | alaska | arizona | arkansas | california californian | colorado | connecticut | delaware | florida
hawaii hawaiian | idaho | illinois | indiana | iowa | kansas | kentucky | louisiana | maine | maryland
massachusetts | michigan | minnesota | mississippi | missouri | montana | nebraska | nevada | ohio | oklahoma | oregon
pennsylvania | tennessee | texas texan | utah | vermont | virginia | wisconsin | wyoming | puerto-rico
"""

_PHRASES = """
new york city|new-york
new york|new-york
new zealand|new-zealand
new delhi|delhi
new jersey|new-jersey
new mexico|new-mexico
new hampshire|new-hampshire
new orleans|new-orleans
south africa|south-africa
south korea|south-korea
north korea|north-korea
south sudan|south-sudan
south america|south-america
north america|north-america
north carolina|north-carolina
south carolina|south-carolina
north dakota|north-dakota
south dakota|south-dakota
west virginia|west-virginia
west bengal|west-bengal
uttar pradesh|uttar-pradesh
andhra pradesh|andhra-pradesh
madhya pradesh|madhya-pradesh
tamil nadu|tamil-nadu
hong kong|hong-kong
saudi arabia|saudi
sri lanka|sri-lanka
sri lankan|sri-lanka
costa rica|costa-rica
puerto rico|puerto-rico
el salvador|el-salvador
dominican republic|dominican-republic
ivory coast|ivory-coast
sierra leone|sierra-leone
burkina faso|burkina-faso
united states of america|usa
united states|usa
united kingdom|uk
great britain|uk
united arab emirates|uae
abu dhabi|abu-dhabi
tel aviv|tel-aviv
los angeles|los-angeles
las vegas|las-vegas
san francisco|san-francisco
san diego|san-diego
san antonio|san-antonio
san jose|san-jose
santa monica|santa-monica
salt lake city|salt-lake-city
st louis|st-louis
el paso|el-paso
fort worth|fort-worth
kansas city|kansas-city
washington dc|washington-dc
mexico city|mexico-city
buenos aires|buenos-aires
rio de janeiro|rio
sao paulo|sao-paulo
kuala lumpur|kuala-lumpur
ho chi minh city|saigon
phnom penh|phnom-penh
addis ababa|addis-ababa
cape town|cape-town
tel-aviv|tel-aviv
czech republic|czechia
northern ireland|northern-ireland
vatican city|vatican
st petersburg|st-petersburg
"""

# ---------------------------------------------------------------------------------- numbers, units

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()

CARDINALS: dict[str, int] = {
    **{word: value for value, word in enumerate(_ONES)},
    **{word: 20 + 10 * i for i, word in enumerate(_TENS)},
    "fourty": 40,
    "dozen": 12,
}
MAGNITUDES: dict[str, int] = {
    "hundred": 100, "hundreds": 100, "thousand": 1_000, "thousands": 1_000, "k": 1_000,
    "lakh": 100_000, "lakhs": 100_000, "lac": 100_000, "lacs": 100_000, "million": 10**6,
    "millions": 10**6, "mn": 10**6, "crore": 10**7, "crores": 10**7, "billion": 10**9,
    "billions": 10**9, "bn": 10**9, "trillion": 10**12, "trillions": 10**12,
}  # fmt: skip
ORDINALS: dict[str, int] = {
    word: value
    for value, word in enumerate(
        "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth "
        "thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth "
        "twentieth".split()
    )
} | {"thirtieth": 30, "fortieth": 40, "fiftieth": 50, "hundredth": 100}

# Words that count only sometimes: "double the salary", "half of them", "the nineties".
SOFT_NUMBERS: dict[str, str] = {
    "half": "1/2", "quarter": "1/4", "twice": "2", "thrice": "3", "double": "2", "triple": "3",
    "twenties": "1920s", "thirties": "1930s", "forties": "1940s", "fifties": "1950s",
    "sixties": "1960s", "seventies": "1970s", "eighties": "1980s", "nineties": "1990s",
}  # fmt: skip
MONTHS: dict[str, int] = {
    form: month
    for month, forms in enumerate(
        (
            "january jan", "february feb", "march mar", "april apr", "may", "june jun",
            "july jul", "august aug", "september sep sept", "october oct", "november nov",
            "december dec",
        ),
        start=1,
    )
    for form in forms.split()
}  # fmt: skip

_UNITS = """
km kms kilometer kilometers kilometre kilometres
mile miles mi
meter meters metre metres
cm cms centimeter centimeters centimetre centimetres
mm millimeter millimeters millimetre millimetres
foot feet ft
inch inches
yard yards
acre acres
hectare hectares
kg kgs kilogram kilograms kilo kilos
gram grams gm gms
mg milligram milligrams
mcg microgram micrograms
lb lbs pound pounds
ounce ounces oz
ton tons tonne tonnes
liter liters litre litres
ml milliliter milliliters millilitre millilitres
gallon gallons
pint pints
quart quarts
cup cups
tablespoon tablespoons tbsp
teaspoon teaspoons tsp
second seconds sec secs
millisecond milliseconds ms
minute minutes min mins
hour hours hr hrs
day days
week weeks
month months
year years yr yrs
decade decades
century centuries
celsius centigrade °c
fahrenheit °f
kelvin
degree degrees °
percent pct percentage
mph
kph kmh kmph
mb megabyte megabytes
gb gigabyte gigabytes gig gigs
tb terabyte terabytes
kb kilobyte kilobytes
byte bytes
bit bits
watt watts
kw kilowatt kilowatts
kwh
volt volts
amp amps ampere amperes
hz hertz
mhz
ghz
joule joules
newton newtons
pascal pascals
atm
psi
calorie calories kcal cal
point points
dollar dollars usd bucks
euro euros eur
rupee rupees rs inr
yen jpy
yuan rmb cny
sterling gbp
cent cents
"""

CURRENCY_SIGNS = {"$": "dollar", "€": "euro", "£": "sterling", "¥": "yen", "₹": "rupee"}
CURRENCY_SIGNS |= {"₽": "rub", "₩": "won", "₿": "bitcoin"}

# Units of measure exclude each other even without a number: "how many miles" and "how many km".
_MEASURES = frozenset(
    "km mile meter cm mm foot inch yard acre hectare kg gram mg mcg lb ounce ton liter ml gallon "
    "pint quart cup tablespoon teaspoon second millisecond minute hour day week month year decade "
    "century celsius fahrenheit kelvin mb gb tb kb byte bit watt kw kwh volt amp joule".split()
)

UNITS: dict[str, str] = {}
for _line in _UNITS.strip().splitlines():
    _forms = _line.split()
    UNITS |= dict.fromkeys(_forms, _forms[0])

# Short signs of units, read only when glued to a number or right after one: "5 m", "16g".
UNIT_SIGNS: dict[str, str] = {
    "m": "m", "g": "g", "h": "hour", "s": "s", "l": "liter", "w": "watt", "v": "volt", "c": "°c",
    "f": "°f", "b": "b", "t": "t", "d": "d", "p": "p", "x": "x", "a": "a",
}  # fmt: skip

ROMAN_AFTER = frozenset(
    "part chapter volume vol phase act type stage level class section book season episode war "
    "article title appendix grade tier scene step round king queen pope henry louis charles george "
    "edward richard james philip william elizabeth mary john fantasy battlefield gta".split()
)

# --------------------------------------------------------------------------------- small words

NEGATORS = frozenset(
    "not never no cannot cant nor neither none nobody nothing nowhere without dont doesnt didnt "
    "isnt arent wasnt werent wont wouldnt shouldnt couldnt hasnt havent hadnt mustnt aint neednt "
    "shant unable lacking lack lacks avoid avoiding avoids avoided hardly barely except excluding "
    "excludes exclude instead prevent prevents preventing prevented refuse refuses fail fails "
    "failed refusing refused failing".split()
)

# Weaker words of the same colour: they balance a negator of the other side ("not get sick" is
# "avoid getting sick" is "stop getting sick") and veto nothing alone.
SOFT_NEGATORS = frozenset(
    "stop stops stopping stopped quit quits quitting rid remove removing removes removed eliminate "
    "eliminating reduce reducing overcome overcoming cure control controlling deal dealing handle "
    "fix fixing problem problems error errors missing empty else other alternative alternatives "
    "impossible difficult unlike block blocks blocked blocking rather disable disabled free "
    "inability failure single virgin lose losing loss ignore ignored away few little rarely seldom "
    "against despite although but only lost broken escape skip skipping refrain bad wrong deny "
    "denied refused rejected disadvantage hate dislike non zero".split()
)

FUNCTION_WORDS = frozenset(
    "a an the this that these those of in on at by for to from with and or but if so as is are was "
    "were be been being am do does did doing done have has had having will would shall should can "
    "could may might must i you we they it its my your our their me us them mine yours ours theirs "
    "what which who whom whose when where why how there here then than too very just also some any "
    "into onto about out off up down over under again please it's i'm what's that's let's one's "
    "let get got s t re ve ll d m i've i'd i'll you're you've they're we're who's how's where's "
    "myself yourself themselves ourselves itself such really actually exactly".split()
)

# Relations that read the same from either end: "A is engaged to B".
SYMMETRIC = frozenset(
    "marry married marries wed wedding divorced engaged related relate relation meet met meeting "
    "similar similarity same different difference differ equal equals sibling siblings cousin "
    "friend friends compare compared comparison comparing versus vs dating date near far close "
    "distance neighbor neighbors differ differs differences similarities alike equivalent "
    "synonymous relationship between mix combine combined collaborate together both either "
    "match connect connected argue fight talk chat conversation twin adjacent parallel "
    "perpendicular border acquaintance acquaintances roommate roommates colleague colleagues partner partners".split()
)

CONVERSIONS = frozenset(
    "convert converting conversion translate translating translation migrate migrating migration "
    "change changing switch switching turn turning transform transforming map mapping cast casting "
    "upgrade downgrade move moving transfer transferring go travel fly drive flight flights flying "
    "route prefer train bus port porting shift replace replacing send sync copy copying walk "
    "distance trip journey connect export import".split()
)


class Side(NamedTuple):
    """One side of a group of opposites or rivals, with the word that stands for it."""

    group: str
    side: int
    word: str


@dataclass(frozen=True, slots=True)
class Sense:
    """What one word can mean to a guard.

    Attributes:
        sides: the sides it stands on, of opposites and of rivals.
        entity: the name it stands for ("paris"), empty when it is none.
    """

    sides: tuple[Side, ...] = ()
    entity: str = ""


def _sides(line: str) -> list[list[str]]:
    return [side.split() for side in line.split("|")]


def _verb_forms(verb: str) -> Iterator[str]:
    yield verb
    if verb in _IRREGULAR:
        yield from _IRREGULAR[verb].split()
    stem = verb[:-1] if verb.endswith("e") else verb
    yield verb + ("es" if verb.endswith(("s", "sh", "ch", "x", "z")) else "s")
    if verb.endswith("y") and verb[-2] not in "aeiou":
        yield from (verb[:-1] + "ies", verb[:-1] + "ied", verb + "ing")
        return
    yield stem + "ed"
    yield stem + "ing"
    if verb[-1] not in "aeiouwxy" and verb[-2] in "aeiou" and verb[-3:-2] not in tuple("aeiou"):
        yield from (verb + verb[-1] + "ed", verb + verb[-1] + "ing")


def _adjective_forms(word: str) -> Iterator[str]:
    yield word
    if len(word) > 7 or word in _IRREGULAR:
        return
    stem = word[:-1] if word.endswith(("e", "y")) else word
    i = "i" if word.endswith("y") else ""
    yield from (stem + i + "er", stem + i + "est")
    if word[-1] in "gtdnbm" and word[-2] in "aeiou" and len(word) <= 4:
        yield from (word + word[-1] + "er", word + word[-1] + "est")


def _noun_forms(word: str) -> Iterator[str]:
    yield word
    if word.endswith("y") and word[-2] not in "aeiou":
        yield word[:-1] + "ies"
    else:
        yield word + ("es" if word.endswith(("s", "sh", "ch", "x", "z")) else "s")


# Words of two minds: as opposites they would veto far more paraphrases than errors.
_AMBIGUOUS = frozenset("making maker lighted mean means meaning basics base bases".split())


def _same(word: str) -> Iterator[str]:
    yield word


_OPPOSITES: tuple[tuple[str, str, Callable[[str], Iterator[str]]], ...] = (
    ("v", _VERBS, _verb_forms),
    ("a", _ADJECTIVES, _adjective_forms),
    ("n", _NOUNS, _noun_forms),
    ("w", _WORDS, _same),
)


def _opposites() -> Iterator[tuple[str, Side]]:
    for kind, table, forms in _OPPOSITES:
        for line in table.strip().splitlines():
            for side, words in enumerate(_sides(line)):
                for word in words:
                    for form in forms(word):
                        if form not in _AMBIGUOUS:
                            yield form, Side(f"{kind}:{line.strip()}", side, form)


def _rivals() -> Iterator[tuple[str, Side]]:
    for group, line in _RIVALS.items():
        for side, words in enumerate(_sides(line)):
            for word in words:
                yield word, Side(group, side, word)
    for side, unit in enumerate(sorted(_MEASURES)):
        for form, name in UNITS.items():
            if name == unit and form != "second":
                yield form, Side("measure", side, form)


def _entities() -> dict[str, str]:
    places = [side for line in _PLACES.strip().splitlines() for side in _sides(line)]
    return {word: words[0] for words in places for word in words}


def _senses() -> dict[str, Sense]:
    sides: dict[str, set[Side]] = {}
    for form, side in (*_opposites(), *_rivals()):
        sides.setdefault(form, set()).add(side)
    entities = _entities()
    return {
        form: Sense(tuple(sorted(sides.get(form, ()))), entities.get(form, ""))
        for form in sides.keys() | entities.keys()
    }


POLAR_GROUPS = frozenset(side.group for _, side in _opposites())
SENSES = _senses()

PHRASES: dict[str, list[tuple[tuple[str, ...], str]]] = {}
for _line in _PHRASES.strip().splitlines():
    _phrase, _, _name = _line.partition("|")
    _words = tuple(_phrase.split())
    PHRASES.setdefault(_words[0], []).append((_words, _name))
for _rows in PHRASES.values():
    _rows.sort(key=lambda row: -len(row[0]))
