"""Function words of the Slavic languages."""

from shoal.labeling.languages.language import Language, words

__all__ = ["BULGARIAN", "CROATIAN", "CZECH", "POLISH", "RUSSIAN", "SLOVAK", "SLOVENIAN", "UKRAINIAN"]

RUSSIAN = Language(
    code="ru",
    stemmer="russian",
    function=words(
        """знать хочу хотел хотела хотелось
        и в во на с со к ко по за из от до о об обо у для при над под про через перед между после а но или что
        чтобы как так же ли бы это этот эта эти этого этой этом этих тот та те того той тех то я ты он она оно мы вы
        они меня мне мной тебя тебе его её ему ей нас нам нами вас вам вами их им себя себе мой моя моё мои мою
        моего моей моих моим твой ваш ваша ваше ваши вашего наш наша наше наши свой своя своё свои своего своей быть
        был была было были есть будет будут буду могу может можно можете могут нужно надо хочу хочет где куда откуда
        когда почему зачем кто кого кому какой какая какое какие каким какого сколько который которая которое
        которые которого если уже ещё еще только очень тоже также там тут здесь все всё весь всех всего всем
        пожалуйста здравствуйте привет спасибо сегодня вчера сейчас теперь более менее этому чем чего лишь даже
        потому поэтому хотя пока снова другой другие другого один одна"""
    ),
    barriers=words(
        """я ты он она мы вы они что чтобы если как где когда почему кто но пожалуйста который которая которые
        привет спасибо здравствуйте"""
    ),
    openers=words("что как где куда когда почему зачем кто какой какая какие сколько"),
    negations=words("не нет без никогда ни нельзя никак ничего"),
    adverbs=words("ещё еще больше до пока полностью правильно"),
    prepositions=words("""в во на с со от до из за по к ко у о об для при через без под над между про"""),
)

UKRAINIAN = Language(
    code="uk",
    stemmer="",
    function=words(
        """і й та в у на з із зі до по за від о об для при над під про через перед між після а але або чи що щоб як
        так же би б це цей ця ці цього цієї той те ті того тієї я ти він вона воно ми ви вони мене мені мною тебе
        тобі його її йому їй нас нам вас вам їх їм себе собі мій моя моє мої мою мого моєї моїх твій ваш ваша ваше
        наш наша свій своя бути був була було були є буде можу може можна можете треба потрібно хочу хоче де куди
        коли чому хто кого який яка яке які якого скільки котрий якщо вже ще тільки лише дуже також теж там тут тоді
        усе все весь всі будь ласка привіт дякую сьогодні вчора зараз тепер більш менш тому бо хоча інший інші один
        одна"""
    ),
    barriers=words("я ти він вона ми ви вони що щоб якщо як де коли чому хто але бо привіт дякую який яка які"),
    openers=words("що як де куди коли чому хто який яка які скільки"),
    negations=words("не ні без ніколи немає нема"),
    adverbs=words("ще більше повністю правильно"),
)

POLISH = Language(
    code="pl",
    stemmer="polish",
    function=words(
        """chciałbym chciałabym wiedzieć proszę
        i w we na z ze do po za od o u dla przy nad pod przez przed między oraz a ale lub albo że żeby aby jak
        tak czy to ten ta te ci tego tej tych tym temu tą ja ty on ona ono my wy oni one mnie mi mną ciebie cię ci
        jego jej jemu nas nam was wam ich im się siebie sobie mój moja moje moi moją mojego mojej moich twój twoja
        twoje swój swoja swoje nasz nasza nasze wasz być był była było były jest są jestem będzie będą może można
        mogę mogą trzeba chcę chce mam ma mają gdzie kiedy dlaczego czemu kto kogo komu co czego jaki jaka jakie
        który która które którego której ile jeśli jeżeli gdy już jeszcze tylko bardzo też także tam tu tutaj
        wszystko wszystkie wszystkich proszę cześć dziękuję dzisiaj dziś wczoraj teraz więc bo ponieważ choć inny
        inne inna jeden jedna więcej mniej został została zostało no niż bym by"""
    ),
    barriers=words("ja ty on ona my wy że żeby jak gdzie kiedy dlaczego kto co jeśli ale bo proszę cześć dziękuję"),
    openers=words("jak gdzie kiedy dlaczego czemu kto co jaki jaka jakie który która które ile czy"),
    negations=words("nie nigdy bez żaden żadna żadne żadnego brak ani"),
    adverbs=words("już jeszcze poprawnie"),
    prepositions=words("do na w we z ze od po za przed przy dla o u nad pod przez między bez"),
)

CZECH = Language(
    code="cs",
    stemmer="czech",
    function=words(
        """a i v ve na s se z ze k ke do po za od o u pro při nad pod přes před mezi nebo ale že aby jak tak zda či
        to ten ta ti tohle toto tento tato tyto toho té těch tom tomu já ty on ona ono my vy oni mě mně mi mnou tebe
        tě ti jeho její jemu jí nás nám vás vám jich jim se sebe sobě můj moje má mé mou mého mých tvůj svůj svoje
        náš naše váš vaše být byl byla bylo byli je jsou jsem jste jsme bude budou může mohu můžu lze třeba chci
        chce mám mají kde kdy proč kdo koho co čeho jaký jaká jaké který která které kterého kolik když pokud už již
        ještě jen pouze velmi také tam tady zde všechno všechny všech prosím ahoj dobrý den děkuji dnes včera teď
        tedy protože ačkoli jiný jiné jeden jedna více méně bych by než kam"""
    ),
    barriers=words("já ty on ona my vy že aby jak kde kdy proč kdo co když pokud ale protože prosím děkuji ahoj"),
    openers=words("jak kde kdy proč kdo co jaký jaká jaké který která které kolik"),
    negations=words("ne není nejsou nejsem nikdy bez žádný žádná žádné ani"),
)

SLOVAK = Language(
    code="sk",
    stemmer="",
    function=words(
        """a i aj v vo na s so z zo k ku do po za od o u pre pri nad pod cez pred medzi alebo ale že aby ako tak či
        to ten tá tie tento táto toto toho tej tých ja ty on ona ono my vy oni ma mňa mi mne teba ťa jeho jej nás
        nám vás vám ich im sa seba si môj moja moje mojej svoj náš naša váš vaša byť bol bola bolo boli je sú som
        ste sme bude budú môže môžem treba chcem mám majú kde kedy prečo kto koho čo aký aká aké ktorý ktorá ktoré
        koľko keď ak už ešte len iba veľmi tiež tam tu všetko všetky prosím ahoj dobrý deň ďakujem dnes včera teraz
        preto pretože iný jeden viac by než"""
    ),
    barriers=words("ja ty on ona my vy že aby ako kde kedy prečo kto čo keď ak ale pretože prosím ďakujem"),
    openers=words("ako kde kedy prečo kto čo aký aká aké ktorý ktorá ktoré koľko"),
    negations=words("nie bez nikdy žiadny žiadna žiadne ani"),
)

BULGARIAN = Language(
    code="bg",
    stemmer="",
    function=words(
        """и в във на с със за от до по при над под през пред между или но а че да как така ли би бих това този тази
        тези онзи аз ти той тя то ние вие те мен ме ми теб те ти него го му нея я ѝ нас ни вас ви тях ги им себе си
        се мой моя моят моята мое моите твой твоя негов неин наш нашата ваш вашата свой съм си е сме сте са бях беше
        бяха бъде ще щеше може мога трябва искам иска има имам къде кога защо кой кого коя кое кои какво какъв каква
        какви колко който която което които ако вече още само много също там тук тогава всичко всички моля здравейте
        благодаря днес вчера сега защото но че друг друга други един една едно повече след преди към върху заради"""
    ),
    barriers=words("аз ти той тя ние вие те че как къде кога защо кой ако но защото моля здравейте благодаря"),
    openers=words("какво как къде кога защо кой коя кое кои колко"),
    negations=words("не няма без никога нито никакъв няма"),
)

CROATIAN = Language(
    code="hr",
    stemmer="serbian",
    function=words(
        """i u na s sa za od do po pri nad pod kroz pred između ili ali a da kako tako li bi bih to ovaj ova ovo taj
        ta te onaj ja ti on ona ono mi vi oni mene me meni tebe njega ga mu nju je joj nas nam vas vam njih ih im
        sebe se moj moja moje mog moju tvoj njegov njezin naš naša vaš vaša svoj sam si smo ste su bio bila bilo
        bili biti bude će ću može mogu treba želim ima imam gdje kada kad zašto tko koga koji koja koje što čega
        kakav koliko ako već još samo vrlo također tamo ovdje tada sve svi molim bok hvala danas jučer sada jer
        drugi druga jedan jedna više nakon prije gde ko šta"""
    ),
    barriers=words("ja ti on ona mi vi da kako gdje kada zašto tko što ako ali jer molim hvala"),
    openers=words("kako gdje kada zašto tko koji koja koje što koliko"),
    negations=words("ne nije nisu nisam nema bez nikad nikada niti nijedan"),
)

SLOVENIAN = Language(
    code="sl",
    stemmer="",
    function=words(
        """in v na s z za od do po pri nad pod skozi pred med ali pa ampak a da kako tako bi to ta te ti tisti jaz
        on ona mi vi oni me meni tebe njega ga mu njo jo ji nas nam vas vam njih jih jim sebe se moj moja moje tvoj
        njegov njen naš naša vaš vaša svoj sem si je smo ste so bil bila bilo bili biti bo bodo lahko moram želim
        ima imam kje kdaj zakaj kdo koga kateri katera katero kaj kakšen koliko če že še samo zelo tudi tam tukaj
        takrat vse vsi prosim živjo hvala danes včeraj zdaj ker drug druga en ena več ki"""
    ),
    barriers=words("jaz on ona mi vi da kako kje kdaj zakaj kdo kaj če ampak ker ki prosim hvala"),
    openers=words("kako kje kdaj zakaj kdo kateri katera katero kaj koliko"),
    negations=words("ne ni niso nisem nima brez nikoli noben"),
)
