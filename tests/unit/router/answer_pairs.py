"""Pairs of answers, written by hand: (topic, one answer, another, whether both serve alike).

As models give them: the same content told twice, shorter or longer, with and without markup; and
answers to a question that was only nearly the same.
"""

from __future__ import annotations

from typing import NamedTuple


class AnswerPair(NamedTuple):
    """Two answers and whether they are the same."""

    topic: str
    one: str
    other: str
    is_same: bool


SAME = [
    ("capital", "Paris", "The capital of France is Paris."),
    ("capital, long", "The capital of France is **Paris**.",
     "Paris is the capital of France. It lies on the Seine and has about two million inhabitants, "
     "which makes it the largest city of the country."),
    ("continents", "There are 7 continents.", "Seven."),
    ("sum", "2 + 2 = 4", "The answer is 4."),
    ("boxed", "First we add the apples: 3 + 4 = 7. Then we double them, which gives 14.\n\n#### 14",
     "Together they have seven apples. Twice that is fourteen, so the final answer is 14."),
    ("reset password",
     "To reset your password, open **Settings > Security**, click **Reset password**, and follow "
     "the link in the mail that we send you.",
     "1. Go to Settings and choose Security.\n2. Click on Reset password.\n3. You will get an "
     "e-mail with a link: follow it and choose a new password."),
    ("export invoice",
     "You can export an invoice as a PDF from the billing page: open the invoice and press "
     "Download PDF.",
     "Sure! Open the invoice on the billing page, then click the Download PDF button in order to "
     "save it as a PDF file."),
    ("yes, refunds", "Yes, you can get a refund within 30 days of purchase.",
     "Yes. Purchases can be refunded within 30 days."),
    ("no, pets", "No, pets are not allowed in the rooms.",
     "Unfortunately not: we do not allow pets in our rooms."),
    ("impossible", "No, you can't change the username later.",
     "No, that is impossible: usernames cannot be changed later."),
    ("refusals", "I'm sorry, but I can't help with that.",
     "I cannot assist with this request."),
    ("markup", "# Result\n\n- **Red**\n- **Blue**", "Result: red, blue"),
    ("photosynthesis",
     "Photosynthesis is the process by which plants turn sunlight, water and carbon dioxide into "
     "sugar and oxygen. It takes place in the chloroplasts, where chlorophyll absorbs the light.",
     "In photosynthesis, plants use the energy of sunlight to convert carbon dioxide and water "
     "into glucose, and release oxygen. The green pigment chlorophyll, found in chloroplasts, "
     "captures the light."),
    ("tcp udp",
     "TCP is connection-oriented and guarantees delivery and order; UDP is connectionless, faster "
     "and gives no guarantee. Use TCP for web pages and files, UDP for calls and games.",
     "The main difference: TCP sets up a connection and makes sure that packets arrive in order, "
     "while UDP just sends them without any guarantee. That makes UDP quicker and good for live "
     "video or gaming, and TCP right for web traffic and file transfer."),
    ("python list",
     "Use `my_list.reverse()` to reverse it in place, or `my_list[::-1]` for a reversed copy.",
     "You can reverse a list in place with `my_list.reverse()`, or get a reversed copy with the "
     "slice `my_list[::-1]`."),
    ("sourdough",
     "Mix flour, water and starter, let the dough rest, fold it every half hour for three hours, "
     "shape it, let it rise overnight in the fridge and bake it in a hot pot.",
     "1. Combine your starter with flour and water.\n2. Let the dough rest, then stretch and fold "
     "it every 30 minutes for 3 hours.\n3. Shape the loaf and leave it in the fridge overnight.\n"
     "4. Bake it in a preheated Dutch oven."),
    ("year", "The Berlin Wall fell in 1989.", "It fell on November 9, 1989."),
    ("boiling", "Water boils at 100 °C at sea level.",
     "At sea level the boiling point of water is 100 degrees Celsius (212 °F)."),
    ("author", "Jane Austen wrote Pride and Prejudice.", "Jane Austen"),
    ("synonym", "A synonym of happy is joyful.", "One synonym for \"happy\" is \"joyful\"."),
    ("translate", "\"Guten Morgen\"", "In German you say \"Guten Morgen\"."),
    ("git undo",
     "Run `git reset --soft HEAD~1`. It removes the last commit and keeps your changes staged.",
     "To undo the last commit while keeping the changes staged, use `git reset --soft HEAD~1`."),
    ("inflation",
     "Inflation is a general rise of prices over time, so that money buys less. It is usually "
     "measured with a consumer price index.",
     "Inflation means that the overall level of prices goes up and the purchasing power of money "
     "goes down. Statisticians track it with the consumer price index (CPI)."),
    ("vaccine",
     "Vaccines train the immune system by showing it a harmless part of a germ, so that it makes "
     "antibodies and memory cells and reacts fast to the real infection.",
     "A vaccine presents a harmless piece of a pathogen to your immune system. The body produces "
     "antibodies and memory cells, and can fight the real germ quickly later on."),
    ("shipping", "Standard shipping takes 3 to 5 business days.",
     "Orders usually arrive within 3-5 business days with standard shipping."),
    ("sql", "SELECT name FROM users WHERE age > 30;",
     "```sql\nSELECT name\nFROM users\nWHERE age > 30;\n```"),
    ("recursion",
     "Recursion is when a function calls itself on a smaller part of the problem until a base case "
     "ends it.",
     "A recursive function solves a problem by calling itself with smaller inputs; a base case "
     "stops the calls."),
    ("sky",
     "The sky is blue because air molecules scatter short blue waves of sunlight more strongly "
     "than long red ones; this is called Rayleigh scattering.",
     "Because of Rayleigh scattering: the molecules of the atmosphere scatter blue light, which "
     "has a shorter wavelength, more than red light, so blue reaches us from all over the sky."),
    ("headache",
     "Drink water, rest in a dark and quiet room, and take ibuprofen or paracetamol if needed. See "
     "a doctor if it is sudden and severe.",
     "Try resting in a quiet, dark room and drinking enough water. A pain reliever such as "
     "paracetamol or ibuprofen can help. If the headache is severe or came suddenly, see a "
     "doctor."),
    ("opening hours", "We are open Monday to Friday from 9 am to 5 pm.",
     "Our opening hours are 9 am to 5 pm, Monday through Friday."),
    ("metaphor",
     "A metaphor states that one thing is another to suggest a likeness: \"time is a thief\".",
     "A metaphor is a figure of speech that describes something by saying it is something else, as "
     "in \"time is a thief\"."),
    ("true", "True.", "That's correct."),
    ("dns",
     "DNS translates domain names such as example.com into IP addresses, so that browsers can find "
     "the server.",
     "The Domain Name System works like a phone book of the internet: it turns a name like "
     "example.com into the IP address of the server."),
    ("interview",
     "Research the company, practise answers to common questions, prepare examples of your work, "
     "dress properly and arrive early.",
     "Here are some tips:\n- Do research on the company.\n- Practise common interview "
     "questions.\n- Have examples of your achievements ready.\n- Dress professionally and be there "
     "early."),
]  # fmt: skip

DIFFERENT = [
    ("capitals", "The capital of France is Paris.", "The capital of Italy is Rome."),
    ("capitals, short", "Paris", "Rome"),
    ("dose", "Take 3 mg twice a day.", "Take 30 mg twice a day."),
    ("result", "Adding both gives the total.\n#### 14", "Adding both gives the total.\n#### 18"),
    ("answer", "The answer is 42.", "The answer is 41."),
    ("refund", "Yes, you can get a refund within 30 days.",
     "No, this purchase cannot be refunded."),
    ("refusal", "I'm sorry, but I can't help with that.",
     "Mix the two components and wait for an hour until the glue is hard."),
    ("negation", "You can cancel the order after it has shipped.",
     "You cannot cancel the order after it has shipped."),
    ("cancel, pause",
     "To cancel your subscription, open Billing, choose Cancel plan and confirm. Your access ends "
     "with the paid period and you will not be charged again.",
     "To pause your subscription, open Billing and choose Pause plan. You can pause it for up to "
     "three months; your data stays and you can resume at any time."),
    ("year", "The Berlin Wall fell in 1989.", "The Berlin Wall was built in 1961."),
    ("days", "Standard shipping takes 3 to 5 business days.",
     "Express shipping takes 1 to 2 business days."),
    ("author", "Jane Austen wrote it.", "It was written by Emily Brontë."),
    ("list order",
     "Use `my_list.sort()` to sort it in place.", "Use `my_list.reverse()` to reverse it in "
     "place."),
    ("sql", "SELECT name FROM users WHERE age > 30;", "SELECT name FROM users WHERE age < 30;"),
    ("git",
     "Run `git reset --soft HEAD~1`; the changes stay staged.",
     "Run `git revert HEAD`, which makes a new commit that undoes the last one."),
    ("topic 1",
     "Photosynthesis is the process by which plants turn sunlight, water and carbon dioxide into "
     "sugar and oxygen.",
     "Cellular respiration is the process by which cells break down sugar with oxygen to gain "
     "energy, and give off carbon dioxide and water."),
    ("topic 2",
     "TCP is connection-oriented and guarantees delivery and order.",
     "HTTP is a protocol of requests and responses that runs on top of other protocols."),
    ("clarify",
     "Which operating system do you use, and what exactly does the error message say?",
     "Open the terminal, run the installer again with administrator rights and restart the machine "
     "afterwards. That fixes it in most cases."),
    ("language", "Guten Morgen", "Buenos días"),
    ("mail", "Write to support@example.com.", "Write to billing@example.com."),
    ("url", "See https://example.com/docs/install for the steps.",
     "See https://example.com/docs/upgrade for the steps."),
    ("weekday", "The shop is closed on Monday.", "The shop is closed on Friday."),
    ("recipe",
     "Mix flour, water and starter, let the dough rise overnight and bake it in a hot pot.",
     "Whisk eggs with sugar, fold in melted chocolate and flour, and bake the cake for half an "
     "hour."),
    ("boiling", "Water boils at 100 °C.", "Ethanol boils at 78 °C."),
    ("true, false", "True. Sharks are fish.", "False. Whales are mammals and no fish."),
    ("vaccines",
     "Vaccines train the immune system with a harmless part of a germ, so that it reacts fast to "
     "the real infection.",
     "Antibiotics kill bacteria or stop them from growing; they do nothing against viruses."),
    ("currency", "It costs $20 a month.", "It costs €20 a month."),
    ("direction", "Convert it with `int(text)`, which gives a number.",
     "Convert it with `str(number)`, which gives a text."),
    ("gain, lose",
     "To lose weight, eat fewer calories than you burn: smaller meals, less sugar and more "
     "exercise.",
     "To gain weight, eat more calories than you burn: larger meals, snacks rich in energy, and "
     "strength training to build muscle."),
    ("stocks",
     "A stock is a share in the ownership of a company; its holder takes part in profits and "
     "risks.",
     "A bond is a loan to a company or a state that pays a fixed interest and is paid back at its "
     "end."),
    ("sky, sunset",
     "The sky is blue because air molecules scatter blue light more strongly than red light.",
     "Sunsets are red because the light has a longer way through the air, so that most blue light "
     "is scattered out of the line of sight."),
    ("unknown",
     "I have no information on that order. Could you check the number again?",
     "Your order left our warehouse yesterday and will arrive tomorrow."),
    ("dates", "The exam is on 12 May 2025.", "The exam is on 21 May 2025."),
    ("import, export",
     "To import contacts, open Contacts, choose Import and upload a CSV file.",
     "To export contacts, open Contacts, choose Export and download a CSV file."),
]  # fmt: skip

MORE_SAME = [
    ("two-factor",
     "Go to Account > Security and turn on two-factor authentication. Scan the QR code with an "
     "authenticator app and enter the six digits it shows.",
     "Open your account's security page, enable two-factor authentication, scan the QR code with "
     "an app such as Authy, and type in the 6-digit code."),
    ("compound interest",
     "With compound interest you earn interest on your interest: the balance grows by a factor of "
     "(1 + r) every year.",
     "Compound interest means that interest is added to the principal and itself earns interest, "
     "so after n years the balance is P(1 + r)^n."),
    ("population", "About 8.3 million people live in New York City.",
     "New York City has a population of roughly 8.3 million."),
    ("docker",
     "An image is a read-only template with your program and all it needs. A container is a "
     "running instance of an image, with a writable layer of its own.",
     "Think of a Docker image as a blueprint: it holds code, libraries and settings and never "
     "changes. A Docker container is what you get when you run an image; you can start many."),
    ("yes", "Yes.", "Yes, Python lists can hold values of different types."),
    ("email",
     "Subject: Meeting moved to Thursday\n\nHi team,\n\nour meeting moves to Thursday at 10 am. "
     "Please bring your figures.\n\nBest,\nAnna",
     "Subject: New time for our meeting\n\nHello everyone,\n\nplease note that the meeting will "
     "now take place on Thursday at 10 am. Have your figures ready.\n\nKind regards,\nAnna"),
    ("sleep",
     "Keep a regular schedule, avoid caffeine and screens in the evening, and keep your bedroom "
     "dark and cool.",
     "- Go to bed at the same time every day\n- No coffee after noon\n- Put your phone away an "
     "hour before bed\n- Make the bedroom cool, dark and quiet"),
    ("warranty", "The warranty is two years.", "It comes with a 2-year warranty."),
    ("regex", "`^\\d{4}$` matches exactly four digits.",
     "Use `^\\d{4}$`: it matches a text of exactly four digits and nothing else."),
    ("magna carta",
     "The Magna Carta was sealed in 1215 by King John and limited the power of the king.",
     "Magna Carta, sealed by King John of England in 1215, put limits on royal power."),
]  # fmt: skip

MORE_DIFFERENT = [
    ("android, iphone",
     "On Android, open Settings, tap System and then Backup, and switch on Backup to Google Drive. "
     "Android saves your apps, messages and photos from then on.",
     "On an iPhone, open Settings, tap your name, choose iCloud and then iCloud Backup, and switch "
     "it on. Your iPhone is backed up whenever it is locked and on Wi-Fi."),
    ("austin, dallas",
     "Austin is the capital of Texas. The population of Austin is about 974,000, and it is known "
     "for live music; many tech companies have moved to Austin.",
     "Dallas is a city in the north of Texas. The population of Dallas is about 1.3 million, and "
     "it is known for business; many banks have moved to Dallas."),
    ("increase, decrease",
     "To increase the font size, press Ctrl and +, or open View and choose Zoom in. The new size "
     "stays until you change it.",
     "To decrease the font size, press Ctrl and -, or open View and choose Zoom out. The new size "
     "stays until you change it."),
    ("monthly, yearly",
     "The monthly plan costs $12 and can be cancelled at any time.",
     "The yearly plan costs $120 and can be cancelled before it renews."),
    ("python, java",
     "In Python you read a file with `open(path).read()`; Python closes it at the end of a `with` "
     "block.",
     "In Java you read a file with `Files.readString(path)`; Java closes it by itself."),
    ("mitosis, meiosis",
     "Mitosis makes two identical daughter cells with the full set of chromosomes; it serves "
     "growth and repair.",
     "Meiosis makes four different cells with half the set of chromosomes; it serves sexual "
     "reproduction."),
    ("admin, member",
     "Admins can invite people, change roles and delete the workspace under Workspace settings.",
     "Members can create projects and comment on tasks, but cannot invite people or change roles."),
    ("child, adult dose",
     "Adults may take one or two tablets every six hours, at most eight tablets in a day.",
     "Children from six to eleven may take half a tablet every six hours, at most four times a "
     "day."),
    ("who, when", "Alexander Graham Bell.", "In 1876."),
    ("question back", "Could you tell me which plan you have?", "Your plan renews on the first."),
]  # fmt: skip

SAME += MORE_SAME
DIFFERENT += MORE_DIFFERENT

PAIRS = [AnswerPair(*row, True) for row in SAME] + [AnswerPair(*row, False) for row in DIFFERENT]
