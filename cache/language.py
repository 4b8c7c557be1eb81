"""Is a text English? Thresholds are calibrated on English; other texts get exact hits only.

A short prompt holds too little for statistics of letters: on bare queries of three words a trained
identifier (py3langid) calls half of all English foreign. So this counts evidence instead: words
that other languages use all the time and English does not, letters English does not have, against
English's own small words. Without evidence a text in Latin letters passes as English, for queries
are mostly names and nouns.
"""
# ruff: noqa: E501  (word lists and tables are read as text)

from __future__ import annotations

import re
from functools import lru_cache

_HEAD_CHARS = 4096
_TAIL_CHARS = 2048
_OTHER_SCRIPT_SHARE = 0.4
_DENSE_WEIGHT = 3.0  # a Chinese, Japanese or Korean sign says about as much as three letters
_GREEK_WEIGHT = 0.5
_MEMO_CHARS = 24
_SURE = 0.9  # foreign evidence below this, one ambiguous word, is a name in an English query

_STRONG = """
hola gracias por favor adios buenos buenas dias noches tardes que qué cómo cuál cuáles cuándo dónde quién
cuánto cuántos cuanto cuanta cuantos cuesta cuál porqué eres soy estoy está están estás esta estan estas esto eso esos
ese esa cual cuales cuando donde quien quiero quieres puedo puedes puede pueden tengo tienes tiene tienen hacer hago
hace haz decir dime dame escribe escribir explica explícame traduce resumen necesito ayuda ayúdame ayudame mejor mejores
mundo vida tiempo año años hoy mañana ayer siempre nunca también tambien pero porque entre sobre desde hasta muy más
mas mucho muchos muchas poco todo todos todas otro otra del al los las una unos unas ella ellos nosotros
ustedes usted mi mis tu tus su sus nuestro con sin para como ser estar haber hay fue fueron era sido siendo según
qual quais quando onde quem você voce vocês vocs não nao sim obrigado obrigada olá oi bom boa dia tarde noite tudo bem
preciso posso pode podem quero fazer faça faca escreva explique traduza diga fale meu minha meus minhas seu sua seus suas
dele dela isso isto aquilo muito muita mais menos melhor melhores então entao também porque quanto quantos custa uma umas
dos das nos nas ao aos à às é são sao está estão foi foram ser ter tem têm tenho fui você pelo pela até depois antes
agora hoje amanhã ontem aqui ali lá mundo receita cidade trabalho ajuda
bonjour salut merci bonsoir au revoir s'il plaît plait comment pourquoi quand où quel quelle quels quelles combien qui
quoi est-ce est sont suis êtes etes sommes était été avoir avez ai as avons ont être etre fais faire fait faites peux peut
pouvez puis-je veux voudrais vouloir écris ecris écrire ecrire explique expliquez explique-moi traduis traduire donne
donne-moi résume une des du le les la aux ce cette ces cet mon ma mes ton ta tes ses notre nos votre vos leur leurs
je tu il elle nous vous ils elles avec sans pour dans sur sous chez entre mais donc car ne pas jamais toujours
aussi très tres plus moins bien mieux meilleur meilleure meilleurs aujourd'hui demain hier maintenant ici là
c'est qu'est-ce qu'est j'ai j'aime n'est d'un d'une l'homme quelqu'un ça ca va vie temps année années monde
wie was wer wo warum wann welche welcher welches wieviel wohin woher ist sind bin bist seid war waren wird werden wurde
hallo danke bitte guten tag morgen abend nacht ich du er sie es wir ihr mich dich mir dir uns euch mein meine meinen
meiner dein deine sein seine ihre ihren unser der die das den dem des ein eine einen einem einer kein keine nicht
und oder aber weil dass wenn denn als auch noch schon nur sehr mehr viel viele gut besser beste besten mit ohne für
fuer von vom zu zum zur im am auf aus bei nach über ueber unter zwischen gegen durch kann kannst können konnen
könnte muss müssen soll sollte möchte moechte will gibt geht gehts mach mache machen schreibe schreib schreiben
erkläre erklär erklären erklaere übersetze uebersetze übersetzen hilf hilfe heute gestern jetzt hier dort immer nie
jahr jahre zeit leben welt kostet haben habe hast hat hatte deutsch
ciao grazie prego buongiorno buonasera salve come stai sta va cosa che chi dove quando perché perche quale quali quanto
quanti quanta costa sono sei siamo siete era erano essere avere ho hai ha abbiamo avete hanno fare faccio fai fa
posso puoi può puo possono voglio vuoi vorrei devo scrivi scrivere spiega spiegami traduci dimmi dammi aiutami
aiuto bisogno il lo gli le un una uno del dello della dei degli delle al allo alla ai agli alle dal dalla nel nella nei
nelle sul sulla con per tra fra senza sopra sotto mio mia miei mie tuo tua suo sua nostro vostro questo questa questi
queste quello quella non più piu meno molto molti tutto tutti anche ancora sempre mai oggi domani ieri adesso ora
qui migliore migliori meglio bene mondo vita tempo anno anni e è ed c'è cos'è dov'è l'italia
hoi hallo dank bedankt alsjeblieft goedemorgen goedendag hoe wat wie waar waarom wanneer welke hoeveel het een de van
voor met zonder naar op aan uit bij onder tussen tegen door tijdens ik jij je hij zij wij jullie mij jou hem haar
ons onze mijn jouw zijn niet geen wel maar want omdat als dan ook nog al alleen zeer meer veel goed beter beste kan kun
kunt kunnen moet moeten wil wilt willen zou zullen wordt worden werd heb hebt heeft hebben had ben bent is
doe doen maak maken schrijf schrijven vertaal leg uit geef help gaat vandaag morgen gisteren nu hier daar altijd
nooit jaar tijd leven wereld kost
cześć czesc dzień dzien dobry dziękuję dziekuje proszę prosze jak co kto gdzie dlaczego kiedy który która które ile
jest są sa jestem jesteś być byc był była było mam masz ma mieć chcę chce mogę moge możesz mozesz może moze napisz
napisać wyjaśnij wytłumacz przetłumacz pomóż pomocy potrzebuję czy nie tak ale bo ponieważ więc oraz lub dla bez
przez przed pod nad między po od ze za na się sie mój moja moje twój jego jej nasz to ten ta te tego tej
tym tych najlepszy najlepsze najlepsza bardzo więcej wszystko zawsze nigdy dzisiaj dziś jutro wczoraj teraz tutaj
rok lat życie świat kosztuje słychać
ahoj děkuji dekuji prosím prosim dobrý jaký jaká jaké kdo kde proč proc kdy který která kolik jsem jsi je jsou být byt
byl byla mám máš má mít chci můžu můžeš může muze napiš vysvětli přelož pomoz potřebuji ne ano ale protože nebo pro bez
přes před mezi od do ze za na se si můj moje tvůj jeho její náš tento tato toto nejlepší velmi více dnes zítra včera
teď tady rok život svět stojí
hej hejsan tack snälla vad vem var varför när vilken vilket vilka hur många mycket är jag du han hon vi ni dem mig dig oss
min mitt mina din ditt sin vår er inte ingen ett en och eller men för att därför om som också bara mer mest bra
bättre bästa med utan till från på av i under mellan kan kunna ska skulle måste vill blir blev har hade vara gör göra
skriv skriva förklara översätt hjälp behöver idag imorgon igår nu här där alltid aldrig år tid liv världen kostar
hvad hvem hvor hvorfor hvornår hvordan hva hvilken hvilket hvilke mange meget tak takk værsgo jeg mig meg dig deg os
mit mine din dit dine ikke ingen og eller fordi også kun bare mere mest god bedre bedste beste med uden uten til fra på
af under mellem mellom kunne skal skulle må vil bliver blir blev ble har havde hadde være gør gjøre skrive forklar
oversæt oversett hjælp hjelp brug trenger dag imorgen igår nå nu altid alltid aldrig aldri liv verden koster er
hei moi kiitos ole hyvä hyvää mitä mikä mitkä kuka missä miksi milloin kuinka miten paljonko paljon on ovat olen olet
olla oli minä sinä hän me te he minun sinun hänen meidän ei en et eikä ja tai mutta koska että jos kun myös vain
enemmän paras parhaat kanssa ilman voi voin voit voiko voitko pitää täytyy haluan haluaisin kirjoita selitä käännä auta
tarvitsen tänään huomenna eilen nyt täällä aina koskaan vuosi aika elämä maailma maksaa
szia köszönöm kérem kérlek jó napot mi mit ki hol miért mikor melyik hány mennyi hogyan hogy van vannak vagyok vagy
lenni volt én te ő mi ti ők az egy és vagy de mert ha is csak több legjobb nagyon nem igen tud tudok tudsz lehet
kell akarok szeretnék írj írd magyarázd fordítsd segíts szükségem ma holnap tegnap most itt ott mindig soha év idő élet
világ kerül
bună buna salut mulțumesc multumesc rog ce cine unde când cand cum care cât cat cât costă costa este sunt ești esti suntem
fi fost am ai are avem aveți au vreau vrei pot poți poti poate trebuie scrie explică explica tradu ajută ajuta nevoie
un o unui unei și si sau dar pentru că ca dacă daca cu fără fara din de la pe în sub între mea meu tău tau său nostru
nu da foarte mai mult cel cea cei cele bun bună astăzi astazi azi mâine maine ieri acum aici întotdeauna niciodată an ani
viață lume fac faci face
merhaba selam teşekkürler tesekkurler lütfen lutfen günaydın nasıl nasil nasılsın nasilsin ne neden niçin kim nerede
nereden hangi kaç kac ne zaman mı mi mu mü midir var yok değil degil ben sen biz siz onlar bana sana bizim benim
senin onun bir bu şu o ve veya ama çünkü cunku için icin ile gibi kadar daha en çok cok iyi güzel yaz yazın yazar
açıkla acikla çevir cevir yardım yardim istiyorum lazım olarak olan olur oldu nedir kimdir nedir bugün bugun
yarın dün şimdi simdi burada her zaman asla yıl yil hayat dünya
halo hai terima kasih tolong apa kabar siapa dimana mana mengapa kenapa kapan bagaimana berapa yang ini itu adalah ada
saya aku kamu anda dia kami kita mereka tidak bukan tak ya dan atau tetapi tapi karena kerana jika kalau dengan
tanpa untuk dari pada ke di dalam oleh akan sudah belum telah bisa boleh dapat harus mau ingin buat buatlah tulis
tuliskan jelaskan terjemahkan bantu butuh perlu paling terbaik sangat lebih banyak semua hari sekarang besok kemarin
sini tahun waktu hidup dunia harga cara membuat
xin chào chao cảm ơn cam on làm lam ơn gì gi ai đâu ở đâu tại sao khi nào thế nào the nao bao nhiêu nhieu là của cua
và tôi toi bạn chúng ta mình không khong có phải được duoc cho với voi trong ngoài để này kia đó những các một
hai hãy viết viet giải thích dịch giúp cần muốn rất nhiều hôm nay mai bây giờ năm cuộc sống thế giới giá
kumusta salamat po opo ako ikaw siya kami tayo sila ang ng mga sa ay ano sino saan bakit kailan paano magkano
hindi oo may wala gusto kailangan pwede puwede maaari isulat ipaliwanag isalin tulong lang din rin naman para kasi
dahil pero ngayon bukas kahapon dito doon
namaste kya kyu kyun kyon kaise kaisa kaisi kaun kahan kab kitna kitne kitni hai hain hoon tha thi mein main mai tum aap
mujhe mujhko tumhe aapko mera meri mere tera teri tumhara aapka uska uski unka hum ham nahi nahin haan aur lekin par
kyunki agar toh bhi sirf bahut bahot accha acha achha sabse liye ke ka ki ko se batao bataye bataiye likho likhiye karo
kare karna karne karein chahiye sakta sakte sakti raha rahe rahi gaya gayi aaj kal abhi yahan wahan kuch hota hoti
receta texto contraseña correo cuenta pedido envío envio precio ciudad país pais idioma palabra frase poema cuento
historia canción libro película pelicula tarea escuela trabajo dinero casa comida cocinar aprender enseñar pregunta
respuesta ejemplo diferencia significa traducir resumir resume cambiar cancelar comprar pagar abrir cerrar buscar encontrar
recette texte courriel compte commande livraison prix ville pays langue mot phrase poème chanson livre devoirs école
travail argent maison cuisine apprendre question réponse exemple différence signifie traduire résumer changer annuler
acheter payer ouvrir fermer chercher trouver beaucoup peu meilleurs ciel bleu semaine mois jour
rezept diesen diese dieser dieses text passwort konto bestellung lieferung preis stadt land sprache wort satz gedicht geschichte
lied buch hausaufgaben schule arbeit geld haus essen kochen lernen frage antwort beispiel unterschied bedeutet
zusammen zusammenfassen ändern kündigen kaufen bezahlen öffnen schließen suchen finden nenne nenn drei zwei vier fünf
himmel blau woche monat
ricetta testo conto ordine spedizione prezzo città paese lingua parola frase poesia storia canzone libro compiti
scuola lavoro soldi cucina imparare domanda risposta esempio differenza significa tradurre riassumere riassumi cambiare
annullare comprare pagare aprire chiudere cercare trovare cielo settimana mese giorno indirizzo dimenticato
receita senha conta pedido frete preço cidade país idioma palavra frase poema história música livro filme escola
trabalho dinheiro comida cozinhar aprender pergunta resposta exemplo diferença significa traduzir resumir resuma mudar
cancelar comprar pagar abrir fechar procurar encontrar céu semana mês esqueci
recept tekst wachtwoord rekening bestelling verzending prijs stad taal woord zin gedicht verhaal liedje boek huiswerk
werk geld huis eten koken leren vraag antwoord voorbeeld verschil betekent vertalen samenvatten samen deze dit die laat
wijzigen opzeggen kopen betalen openen sluiten zoeken vinden lucht blauw week maand vergeten
przepis tekst hasło haslo hasła konto konta zamówienie wysyłka cena miasto kraj język jezyk słowo zdanie wiersz historia piosenka
książka film szkoła praca pieniądze dom jedzenie gotować uczyć pytanie odpowiedź przykład różnica znaczy zmienić zmienic
anulować kupić zapłacić otworzyć zamknąć szukać znaleźć niebo tydzień miesiąc jaka jaki jakie stolica
recept heslo účet objednávka doprava cena město země jazyk slovo věta báseň příběh píseň kniha škola práce peníze otázka
odpověď příklad rozdíl znamená změnit zrušit koupit najít týden měsíc hlavní
lösenord konto beställning frakt pris stad land språk ord mening dikt berättelse bok läxor skola arbete pengar mat fråga
svar exempel skillnad betyder ändra avsluta köpa betala öppna stänga hitta himlen vecka månad huvudstaden
adgangskode passord konto bestilling ordre pris by land sprog språk ord sætning setning digt dikt historie bog bok skole
arbejde arbeid penge penger mad mat spørgsmål spørsmål svar eksempel forskel forskjell betyder ændre endre købe kjøpe
salasana salasanani tili tilaus tilaukseni tilauksen hinta kaupunki kieli sana lause runo tarina kirja koulu työ raha ruoka
kysymys vastaus esimerkki ero tarkoittaa vaihtaa peruuttaa ostaa maksaa löytää unohdin viikko kuukausi taivas
jelszó jelszavam jelszavamat fiók rendelés rendelésem szállítás ár város ország nyelv szó mondat vers történet könyv
iskola munka pénz étel kérdés válasz példa különbség jelent megváltoztatni törölni venni találni hét hónap elfelejtettem
rețetă reteta parola parolă contul cont comanda comandă livrare livrarea preț oraș țară limba cuvânt propoziție poezie poveste carte
școală muncă bani mâncare întrebare răspuns exemplu diferență înseamnă schimba schimb anula cumpăra plăti găsi uitat
capitala săptămână lună
tarif tarifi şifre sifre şifremi hesap hesabım sipariş siparis siparişim kargo fiyat şehir ülke kelime cümle şiir hikaye
şarkı kitap okul iş para yemek soru cevap örnek fark demek değiştir iptal satın ödeme bul hafta ay başkenti
resep teks sandi sandinya akun pesanan pengiriman harga kota ibukota negara bahasa kalimat puisi cerita lagu buku sekolah
pekerjaan uang makanan memasak belajar pertanyaan jawaban contoh perbedaan artinya ubah batalkan beli bayar cari
lupa ibu minggu bulan langit biru
sumulat tula tungkol dagat langit salita kwento pera bahay trabaho eskwela sagot tanong halimbawa pagkain kabisera
mji mkuu shairi bahari anga upi swali jibu mfano chakula shule kazi pesa nyumba lugha neno
narudžba dostava cijena cena grad glavni zemlja jezik reč riječ rečenica pjesma pesma knjiga škola posao novac hrana
pitanje odgovor primjer primer razlika znači lozinka
busco buscando barato barata manana noticias clima ventajas desventajas ideas consejos gratis cerca mujer hombre hijo
hija madre padre hermano amigo amiga perro gato coche carro viaje salud médico dolor cabeza ropa fiesta boda regalo cumpleaños
cuéntame cuentame hazme enséñame corrige lista crear escribir hablar llamar funciona sirve usar mejorar ganar perder
cherche idées idee conseils gratuit gratuite femme homme fils fille mère père frère amie chien chat voiture voyage santé
médecin mal tête vêtements fête mariage cadeau anniversaire raconte raconte-moi corrige liste créer parler appeler marche
utiliser améliorer gagner perdre météo demain blague avantages inconvénients enlever tache
suche günstiges günstig vorteile nachteile ideen tipps kostenlos frau mann sohn tochter mutter vater bruder freund freundin
hund katze auto reise gesundheit arzt kopfschmerzen kleidung hochzeit geschenk geschenkideen geburtstag erzähl erzählen
erzähle korrigiere liste erstellen sprechen anrufen funktioniert benutzen verbessern verlieren gewinnen wetter witz
langweilig entfernen wort bedeutet
cerco cercare economico economica vantaggi svantaggi idee consigli gratis donna uomo figlio figlia madre padre fratello
amico amica cane gatto macchina viaggio salute medico testa vestiti festa matrimonio regalo compleanno raccontami racconta
correggi lista creare parlare chiamare funziona usare migliorare vincere perdere notizie barzelletta annoio togliere macchie
procuro procurar vantagens desvantagens ideias dicas grátis mulher homem filho filha mãe pai irmão amiga cachorro
gato carro viagem saúde médico dor cabeça roupa festa casamento presente aniversário conte corrija lista criar falar
ligar funciona usar melhorar ganhar perder piada notícias previsão mancha vinho
zoek goedkoop goedkope voordelen nadelen ideeën gratis vrouw zoon dochter moeder vader broer vriend vriendin hond kat
reis gezondheid dokter hoofdpijn kleding feest bruiloft cadeau verjaardag vertel corrigeer lijst spreken bellen werkt
gebruiken verbeteren winnen verliezen weer mop grap vervelen verveel betekenen vlekken thuiswerken
szukam szukać tani taniego tania zalety wady pomysły porady darmowe kobieta mężczyzna syn córka matka ojciec brat przyjaciel
pies kot samochód podróż zdrowie lekarz ból głowy ubrania wesele prezent urodziny opowiedz popraw lista stworzyć mówić
dzwonić działa używać wygrać stracić pogoda dowcip żart nudzi jutro wiadomości
hledám hledat levný levné výhody nevýhody nápady rady zdarma žena muž syn dcera matka otec bratr přítel pes kočka auto cesta
zdraví lékař bolest hlavy oblečení svatba dárek narozeniny řekni vtip počasí zprávy
söker letar billig billigt fördelar nackdelar idéer tips gratis kvinna dotter mamma pappa bror vän hund katt bil resa hälsa
läkare huvudvärk kläder bröllop present födelsedag berätta lista skapa prata ringa fungerar använda förbättra skämt väder nyheter
søger leder billig billigt fordele fordeler ulemper idéer ideer kvinde kvinne datter bror ven venn hund kat katt bil rejse reise
helbred helse læge lege bryllup gave fødselsdag bursdag fortæl fortell vittighed vits vejr vær nyheder nyheter
etsin halpa halpaa edut haitat ideoita vinkkejä ilmainen nainen mies poika tytär äiti isä veli ystävä koira kissa auto
matka terveys lääkäri häät lahja syntymäpäivä kerro vitsi sää uutiset
keresek olcsó előnyei hátrányai ötletek tippek ingyenes nő férfi fia lánya anya apa barát kutya macska autó utazás egészség
orvos esküvő ajándék születésnap mesélj vicc viccet időjárás hírek
caut ieftin ieftină avantaje dezavantaje idei sfaturi gratuit femeie bărbat fiu fiică mamă tată frate prieten câine pisică
mașină călătorie sănătate doctor nuntă cadou cadouri ziua naștere glumă vremea știri spune spune-mi
arıyorum ucuz avantajları dezavantajları fikir fikirleri öneriler ücretsiz kadın erkek oğul kız anne anneme baba kardeş
arkadaş köpek kedi araba seyahat sağlık doktor düğün hediye doğum anlat fıkra hava haberler evden
mencari cari murah keuntungan kerugian manfaat ide saran gratis perempuan wanita pria anak ayah kakak adik teman anjing
kucing mobil perjalanan kesehatan dokter pernikahan hadiah ulang ceritakan lelucon cuaca berita rumah bekerja
síntomas sintomas gripe verbos planifica convierte cenar muéstrame hojas kilómetros alemán
montre montre-moi chatons grippe symptômes verbes planifie convertis manger soir kilomètres
plane meilen symptome kochen verben rückgabe beantragen umrechnen rechne
pianifica miglia chilometri sintomi dell'influenza cena stasera elenco verbi rimborso biglietto converti mangio
planeje jantar quilômetros sintomas milhas
griep symptomen aanvragen mijl zal eten plan
zaplanuj podróży objawy grypy kolację zjeść zwrot pieniędzy
oireet flunssa flunssan suunnittele tünetei tervezz egyek
simptome simptomele gripei planifică mănânc
gezi gezisi planla grip belirtileri yesem akşam
gejala makan malam rencanakan perjalanan
sintomas trangkaso biyahe magplano safari panga
bukhar lakshan ghumne banao
gavat madad kavita baarish barish mausam paisa ghar khana kaam shahar rajdhani matlab udaharan sawal jawab
habari asante tafadhali nini nani wapi kwa nini lini vipi gani ngapi ni si mimi wewe yeye sisi nyinyi wao wangu yako
yake yetu na au lakini kwamba kama katika ya wa la za cha vya jinsi gani eleza andika tafsiri nisaidie nataka ninahitaji
leo kesho jana sasa hapa
gràcies si us plau bon dia què qui on com quan quant per què és són sóc ets som està estan tinc tens té vull puc pots
fer fes escriu explica tradueix ajuda amb sense meu meva teu teva seu seva aquest aquesta això molt més també només avui
zdravo hvala molim kako što sto tko ko gdje gde zašto zasto kada kad koji koja koje koliko jesam jesi jest smo ste su
biti bio bila imam imaš ima imati hoću hocu mogu možeš mozes može moze napiši napisi objasni prevedi pomozi trebam
treba nije nisam ali jer ili za bez kroz prije pre između od do iz sa na se moj moja moje tvoj njegov njen naš ovaj ova
ovo najbolji najbolja vrlo više vise danas sutra jučer juče sada ovdje ovde godina život zivot svijet svet
"""

# Words of other languages that English prompts hold too, as words or in names ("Los Angeles").
_ENGLISH_TOO = """
a about after again all also always am among an and any are as ask at au ai ace age ago air art arms back bad ball band bank
base be because been before being best bin bit book born both box boy brand but buy by by call came can car card care
case cat cha change chat child cod com come comment con copy cost costa could cut dan data date day dam de del den des
di did die diet dim dins dit do doe does doing don done dos down du each eat ed el else em en end er es et eat even ever every
fa face fan far fare fast fast fat few fin fine first for form found four free friend from full fun game gang gas gave
get gift give go god gone good got great had hai hand hand hard has hat have he hear help her here hers hey hi him his hit hold
home hot how i if ii il im in include inn into is it its job just ka keep ki kid kind king ko know la lac lad lag lam
lang lap last le least left leg les less let lie life like line list live lo long look los lot love low ma mac made main
make mal male man mana many map mar mark mas mate may me mean meet men mi mine mir mis mit mo modern mode modem mon more most
mother move much mu mum must my name na nah national natural ne near need never new next ni nice night no non none nos not
note now nu number o of off old on once one only open or oral order original os other our out over own page pain pal pan
par para part past pay per person phone pin place plan play please plus po point pot pour prego pro problem pub pull
put quid quota rad rang read real red rein rent rest ring rock role room run sa sale salve same san sand sans
sat saw say se sea second see sees self sell sensible sent set she short should show si sick side sin since sing
sit six small so some son song soon sound star start stand state stay step still stop story su such sure table tag tail take
talk tam tan tango tar te team tell ten term test text than that the their them then there these they thin thing this those
three ti time tin to today toe together ton too took top total tour town tu tub turn two type ultra un under unit up upon
us use user va van ve very via vie view vis voice von vs wall want war was wat water way we week well were what when where which
who why wide will win with within without woman wonder word work world would write year yes yet yo you young your za ze
ha hat ham hello halo hall halt has hem here hem hero hire ho hoe hole hop per pre pro par pose use under unter
al ali an ana and angle ans as ass at bon bona brand bro ca cal cand cum dar dai das dem deal dia die dig din dir doc dot
ed ego em eng err est eta etc ex fer fes fi fit fra fur ga gal gel gene go gran grand gut ham hand har has hat hen het hi
ho hoi hon hot id ik il im in ja jam je jo kan kant kin la lad lama lan land lat lav leg len let li lib liv ma mai mam man
mand mar mas mat me med mein mem men mens meet mi mid mil min mine mir mis mod moi mot mu my na nach nam nav ne net neu nie nil nit no
nor not nova nu nun nur ok ol om on once op or ora oss ov over pa pal pan pas pat pe pen pit pod pol pot pou pre pro
qua que qui rad ram rat ray re red rei res rev rib rio rod rok rot rum rust sa sab sad sal sam san sao sans sar sat se
sea sec sein sen ser set sex sha si sic sie sim sin sino sir sit ska sola som son sos sous sta sto sub sul sum sun sur
ta tai tal tan tap tar tas tat tax te tea ten ter test thi tic til tim tip to toi tom ton top tor tot tri tu tum tut tv
ultimo un una uno up ur us va vai val van var vas vat vi via vil vol vos wa wan war wat way we web wel wo won yam yang
yes yo za zoo zu mere pero cosa vida mundo dame tiempo casa ayuda vita vitae bella leo jana maine sin par kal hum ham
come stai moi ole sera rue mal mode sage saint sales sauna sole solo sous spa suite tag tang tari teri toro tout
para pura salsa ser siempre todo luna tiempo voltage fait quell quale quali chi ceci sta hanno fare sono sei dove anno ore
care cat au pot cat face mare mult da bun bune azi ani viata lume fac pe rok ten ta te to ma sa tam pan
jest co ile lat nad pod po mam czy od ze za jest tak
kate bare bra med dag liv verden koster mange tid
gore este mana ada dari kita dalam saya ini kami akan bisa dan
thousand yang chao cam on lam ai nam hai nay cua
ng ay po rin din may sino
mi mit hol ki van volt egy ha az is most ott ma
ne o ben bin sen biz var en bir on iki yaz kim kac bana
ni si na au kama wa la za ya sasa leo hapa wao wake
o quem tem tempo pois posso ter sera era
tu va est son sont ami peut pas car dans nos sous champs
pater mater per pro ad in ex
hoy mar sol san santa santo dia dias los las del
nora kann mann hat bald gut tag rat
vila villa via
por favor
ver vera ver voir
tag abend
han hon din sin
acha main tha thi par aur ke ka ko se
man hai mai
ole en et
var nar an ar
smo ste su koje ko kad
come fa fai
gusto
pre sto
texto text resume envio question commander libro film land lied essen house haus arbeit blau satz rest cocinar
prix livre phrase ville pays langue mot devoirs maison cuisine payer changer langue trouver
compte compte commande conte conto ordine paese lingua frase poesia libro storia pagare aprire
conta frase poema filme idioma comprar
recept stad taal zin boek eten leren week laat wonder opening die dit betalen film
tekst konto hasta cena dom kraj historia film kniha
pris land ord stad bok dikt mat svar by konto
tili sana raha hinta ero
vers cont carte limba comanda bani
para tarif hesap bul ay fark soru
kota akun lagu bulan langit biru ibu sandi puisi beli bayar cari minggu
tula pera tanong kazi neno grad novac pesa anga upi
hotel cena primer posao mesto madad ghar khana barish
question prego monat wort frage antwort buch drei zwei vier
palabra poema casa comida dinero
dia ciudad pais trabajo pedido precio cuenta historia cancion tarea ejemplo
giorno mese parola testo city
preis
ideas lista gratis liste auto machine chat present presents tips mop lege ring doctor cancel mari fest festa boda gato
carro salud salute medico viaggio viaje parlare hablar usar gave vær ven venn bil hund sun weer kat lista mobil ide anak baba
anne erkek hava kis kiz konu fia apa barat barato barata regalo noticias mala amiga amico perro padre madre hijo
ideen wetter mann frau hund katze suche werkt grap leder edut auto
mal tache conte
plan plane safari malam grip
peu jour mois ciel bleu argent travail
meer beter
dies
com que
je me te se le les des
noche nova
no lo
il
nur
aria
mit
roi
amigo
adios
e door bio care met gi hay als att mia kia va viet soy tack bent chi cu temps plus bara mitt per co cea itt tai ako sus es ein o av
salam
halo
kim
mano
mio
tesoro
sake
sushi
vous
der
die
das
den
dem
und
von
vom
zum
zur
les
aux
los
las
della
dello
degli
mas
este
esta
estas
mais
menos
sobre
entre
moja
maria
marie
"""

_ENGLISH = frozenset(
    "the of and to in is you that it he was for on are as with his they i at be this have from or "
    "one had by but not what all were we when your can said there an which she do how their if "
    "will other about out many then them these so some her would make like him into has more "
    "two could my than been who its now find did get come may does why should i'm i've it's don't "
    "doesn't can't isn't what's how's where where's whats am any just want need know tell give "
    "me please help write explain create list best between without because after before our us "
    "while much most only over also back use using good new way thank thanks hello hi yes no "
    "ok okay translate translation english spanish french german italian japanese chinese mean means "
    "meaning say word words called name names show tell define definition difference code function "
    "python error file data free online near vs used work works day days year years people first "
    "top number list movie movies book books song songs album plot author wrote sings cast".split()
)

_FOREIGN_ENDINGS = (
    "ción", "ções", "ção", "cion", "ciones", "mente", "zione", "zioni", "mento", "keit", "heit",
    "schaft", "lich", "lichen", "ische", "ischen", "ungen", "tät", "eux", "euse", "ité", "aient",
    "ość", "ować", "owie", "ego", "ých", "ého", "ního", "ului", "ilor", "ların", "lerin", "ları",
    "leri", "ıyor", "iyor", "uyor", "nız", "niz", "ssa", "ssä", "stä", "lla", "llä", "iin", "inen",
    "ista", "istä", "nya", "kan", "lah", "elijk", "elijke", "heid", "tje", "ingen", "ság", "ség",
    "ban", "ben", "nak", "nek", "andolo", "endo", "ando", "arse", "irse", "aron", "ieron",
)  # fmt: skip
_WEAK_ENDINGS = frozenset({
    "mente", "mento", "ego", "ssa", "lla", "nya", "kan", "lah", "ingen", "ban", "ben", "nak", "nek",
    "endo", "ando", "ista", "inen", "lich", "niz", "heit", "keit", "cion", "tje",
})  # fmt: skip

_STRONG_WEIGHT = 1.0
_SHARED_WEIGHT = 0.4
_LETTER_WEIGHT = 0.9
_NAME_WEIGHT = 0.35
_ENDING_WEIGHT = 0.6

_shared = frozenset(_ENGLISH_TOO.split())
_EVIDENCE: dict[str, float] = {
    word: _SHARED_WEIGHT if word in _shared else _STRONG_WEIGHT
    for word in _STRONG.split()
    if word not in _ENGLISH
}

_TOKEN = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_LOAN_WORDS = frozenset(
    "café cafés naïve résumé résumés fiancé fiancée cliché clichés jalapeño jalapeños piñata déjà vu "
    "façade entrée sauté soufflé crème brûlée touché protégé matinée exposé pokémon beyoncé señor "
    "über doppelgänger smörgåsbord á à décor née purée blasé passé vis-à-vis coupé élan".split()
)


def is_english(text: str) -> bool:
    """Tell whether a text may be judged by what was calibrated on English.

    Only the first and last few thousand characters of a long text are read.
    """
    if len(text) > _HEAD_CHARS + _TAIL_CHARS:
        text = f"{text[:_HEAD_CHARS]} {text[-_TAIL_CHARS:]}"
    if not text.isascii() and _is_other_script(text):
        return False
    tokens = _TOKEN.findall(text)
    foreign = 0.0
    for token in tokens:
        foreign += _remembered(token) if len(token) <= _MEMO_CHARS else _evidence(token)
    if foreign < _SURE:
        return True
    return foreign <= sum(token.lower() in _ENGLISH for token in tokens)


def _evidence(token: str) -> float:
    """Return how foreign a word is."""
    word = token.lower()
    if word in _ENGLISH:
        return 0.0
    weight = _EVIDENCE.get(word)
    if weight is None:
        return _evidence_of_form(token, word)
    return weight if token[0] == word[0] else weight * 0.75


_remembered = lru_cache(maxsize=1 << 15)(_evidence)  # texts are made of the same words


def _evidence_of_form(token: str, word: str) -> float:
    """Return how foreign an unknown word looks by its letters and ending."""
    if not word.isascii():
        if len(word) == 1 or "’" in word or word in _LOAN_WORDS:
            return 0.0
        return _LETTER_WEIGHT if token[0] == word[0] else _NAME_WEIGHT
    if len(word) > 6 and word.endswith(_FOREIGN_ENDINGS) and token[0] == word[0]:
        is_weak = any(word.endswith(ending) for ending in _WEAK_ENDINGS)
        return _NAME_WEIGHT if is_weak else _ENDING_WEIGHT
    return 0.0


def _is_other_script(text: str) -> bool:
    latin = other = 0.0
    for char in text:
        if char < "\u0250":
            if char.isalpha():
                latin += 1
        elif char.isalpha() and not "\u1e00" <= char <= "\u1eff":
            is_dense = char >= "\u2e80" or "\u1100" <= char <= "\u11ff"
            is_greek = "\u0370" <= char <= "\u03ff"  # alpha and beta are mathematics, too
            other += _DENSE_WEIGHT if is_dense else _GREEK_WEIGHT if is_greek else 1.0
    return other > _OTHER_SCRIPT_SHARE * (latin + other)
