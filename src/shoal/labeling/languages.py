"""Function words of the languages Shoal recognises by them. Short on purpose: words that are common in a set and
spread evenly over its clusters are left out in any language (`common_words`).
"""

from dataclasses import dataclass

import stopwordsiso

__all__ = ["ACRONYMS", "LANGUAGES", "Language"]


@dataclass(frozen=True, slots=True)
class Language:
    """What the words of one language do in a phrase. All words are case-folded."""

    stemmer: str
    """The Snowball algorithm."""
    function: frozenset[str]
    """Words without content of their own: they neither begin nor end a phrase."""
    barriers: frozenset[str] = frozenset()
    """Function words that may not stand inside a phrase either: what follows them is a new clause."""
    openers: frozenset[str] = frozenset()
    """Question words and their like: a whole question may begin with them."""
    degrees: frozenset[str] = frozenset()
    """Words that belong to the question word before them ("how long", "how many")."""
    negations: frozenset[str] = frozenset()
    """They reverse what follows, so what follows never stands without them."""
    trailing_negations: frozenset[str] = frozenset()
    """They reverse what stands before or after them."""
    particles: frozenset[str] = frozenset()
    """They end a phrase ("top up") but neither begin nor are one."""
    measures: frozenset[str] = frozenset()
    """Question words that take the next word with them ("how bad is the traffic")."""
    determiners: frozenset[str] = frozenset()
    """A noun comes next, so a phrase does not end before one ("machines that accept [this card]")."""
    fillers: frozenset[str] = frozenset()
    """Words that a title can spare ("verify my identity")."""
    modifiers: frozenset[str] = frozenset()
    """They begin a phrase ("next holiday") but neither end nor are one."""
    light: frozenset[str] = frozenset()
    """Verbs that say little but end a clause: what stands before one is cut short ("how long do transfers [take]")."""
    prepositions: frozenset[str] = frozenset()
    """After one of these a filler stays ("planet of the apes")."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ENGLISH_PREPOSITIONS = _words(
    """of to in on at by for with from into onto upon about between among through during before after above below
    under within against toward towards via per across around behind beyond near than like as since until"""
)
_ENGLISH_OPENERS = _words("how why when where what which who whom whose what's who's where's how's whats")
_ENGLISH_BARRIERS = _ENGLISH_OPENERS | _words(
    """i you he she we they if because while although though unless whether that please so but nor then also just i'm
    i've i'd i'll you're you've you'd you'll he's she's it's we're we've they're they've there's that's im ive
    thanks thank hi hello hey ok okay"""
)
_ENGLISH_LIGHT = _words(
    """get gets got getting gotten go goes going went gone gonna want wants wanted wanna need needs needed know knows
    knew known make makes making made take takes took taking taken let lets let's see seem seems tell give gives
    gave given giving put say says said think try trying tried able keep keeps come comes came coming use used uses
    using help helping"""
)

ENGLISH = Language(
    stemmer="english",
    function=_ENGLISH_PREPOSITIONS
    | _ENGLISH_BARRIERS
    | _ENGLISH_LIGHT
    | _words(
        """a an the this that these those my your his her its our their some any each every both either neither such
        same own other another i you he she it we they me him us them myself yourself himself herself itself
        ourselves themselves one ones someone anyone everyone something anything everything mine yours hers ours
        theirs am is are was were be been being do does did doing done have has had having can could will would
        shall should may might must ought and or but nor so if because while although though unless until whether
        really very just also too only even still already yet again there here now quite rather maybe perhaps
        however ever always often sometimes usually once much many more most less least few lot lots bit well else
        almost all yes etc eg ie vs re ve ll actually currently today something's couple kind sort thing things way
        anyway instead ago would've i.e e.g based starring featuring including"""
    ),
    barriers=_ENGLISH_BARRIERS,
    openers=_ENGLISH_OPENERS | _words("can could do does did is are am will would should may"),
    degrees=_words("long much many old often far big tall fast soon quickly late early high low"),
    negations=_words(
        """not no never without cannot cant dont doesnt didnt isnt arent wasnt werent wont wouldnt couldnt shouldnt
        hasnt havent hadnt aint"""
    ),
    particles=_words("up off out down back away"),
    modifiers=_words(
        """last next new old first second third good better best great nice bad right different certain specific
        current recent several various two three four five exact full real whole possible favorite favourite big
        small top own far long nearest closest"""
    ),
    fillers=_words("a an the my your our"),
    determiners=_words("a an the my your our his her its their this these those some any each every"),
    measures=_words("how"),
    light=_ENGLISH_LIGHT,
    prepositions=_ENGLISH_PREPOSITIONS,
)

GERMAN = Language(
    stemmer="german",
    function=_words(
        """der die das den dem des ein eine einen einem einer eines und oder aber ich du er sie es wir ihr mich mir
        dich dir sich uns euch ihm ihn ihnen mein meine meinen meinem meiner dein deine deinen deinem deiner sein
        seine seinen seinem seiner ihre ihren ihrem ihrer unser unsere euer eure dieser diese dieses diesen diesem
        bin bist ist sind seid war waren sein gewesen habe hast hat haben hatte hatten wird werden wurde wurden
        werde kann kannst können könnte soll sollte muss müssen möchte möchten will wollen darf dürfen mag wie was
        wer wo wann warum wieso welche welcher welches wenn weil dass ob als auch noch nur schon sehr so zu zum zur
        im in an am auf aus bei beim mit nach von vom vor für über unter um durch gegen ohne bis seit zwischen ab
        da dort hier denn dann doch mal bitte etwas alle alles man es gibt ja immer wieder mehr viel"""
    ),
    barriers=_words("ich du er wir wenn weil dass ob bitte aber wie was wer wo wann warum wieso denn"),
    openers=_words("wie was wer wo wann warum wieso welche welcher welches"),
    measures=_words("wie"),
    degrees=_words("lange viel viele oft weit alt hoch"),
    negations=_words("kein keine keinen keinem keiner nie ohne"),
    trailing_negations=_words("nicht"),
)

FRENCH = Language(
    stemmer="french",
    function=_words(
        """le la les un une des du de au aux et ou mais je tu il elle on nous vous ils elles me te se moi toi lui leur
        leurs y en mon ma mes ton ta tes son sa ses notre nos votre vos ce cet cette ces ça cela est sont suis es
        êtes sommes était être été ai as a avons avez ont avoir fait faire peux peut pouvez veux voudrais dois doit
        qui que quoi quel quelle quels quelles dont où quand comment pourquoi combien si comme à dans sur sous avec
        par pour entre vers chez depuis avant après sans très moins aussi encore déjà tout tous toute toutes même
        donc car ici là alors bien il-y-a puis-je est-ce"""
    ),
    barriers=_words("je tu nous vous ils elles qui que quoi si comment pourquoi quand mais donc car"),
    openers=_words("qui que quoi quel quelle quels quelles où quand comment pourquoi combien"),
    negations=_words("ne sans aucun aucune non"),
    trailing_negations=_words("pas plus jamais rien"),
)

SPANISH = Language(
    stemmer="spanish",
    function=_words(
        """el la los las un una unos unas de del al a y e o u pero yo tú él ella nosotros ellos ellas me te se nos le
        les lo mi mis tu tus su sus nuestro nuestra este esta estos estas ese esa eso esto es son soy eres era ser
        sido está están estoy estar he ha han había haber hay tengo tiene tener puedo puede pueden quiero quiere
        debo debe hacer que qué quién cuál cuándo cómo dónde cuánto cuánta cuántos cuántas por para con sin en
        sobre entre hasta desde si sí porque como cuando donde muy más menos también ya todo toda todos todas aquí
        ahí así favor"""
    ),
    barriers=_words("yo que qué si porque cómo cuándo dónde pero quién cuál favor"),
    openers=_words("qué quién cuál cuándo cómo dónde cuánto cuánta cuántos cuántas"),
    negations=_words("no nunca sin ningún ninguna"),
)

ITALIAN = Language(
    stemmer="italian",
    function=_words(
        """il lo la i gli le un uno una di del dello della dei degli delle a al allo alla ai agli alle da dal dalla in
        nel nella nei nelle con su sul sulla per tra fra e ed o ma io tu lui lei noi voi loro mi ti si ci vi ne mio
        mia miei mie tuo tua suo sua nostro nostra vostro questo questa questi queste quello quella è sono sei era
        essere stato stata ho hai ha abbiamo hanno avere posso puoi può voglio vorrei devo deve fare che chi cosa
        cui quale quando come dove perché quanto quanti se anche più meno molto già tutto tutti tutte qui così"""
    ),
    barriers=_words("io che chi se perché come quando dove ma cosa"),
    openers=_words("che chi cosa quale quando come dove perché quanto quanti"),
    negations=_words("non senza mai nessun nessuna"),
)

PORTUGUESE = Language(
    stemmer="portuguese",
    function=_words(
        """o a os as um uma uns umas de do da dos das em no na nos nas ao à aos às por pelo pela para com sobre entre
        até desde e ou mas eu tu ele ela nós vocês você eles elas me te se lhe meu minha meus minhas teu sua seu
        seus suas nosso nossa este esta isto esse essa isso aquele é são sou era ser sido está estão estou estar
        foi tenho tem ter há posso pode quero quer devo deve fazer que quem qual quando como onde quanto quantos
        porque se também já mais menos muito todo toda todos todas aqui assim favor"""
    ),
    barriers=_words("eu que se porque como quando onde mas quem favor"),
    openers=_words("que quem qual quando como onde quanto quantos"),
    negations=_words("não nunca sem nenhum nenhuma"),
)

DUTCH = Language(
    stemmer="dutch",
    function=_words(
        """de het een en of maar ik je jij u hij zij ze wij we jullie hen hem haar me mij jou ons mijn jouw uw zijn
        hun onze dit dat deze die is ben bent was waren wezen geweest heb hebt heeft hebben had wordt worden word
        kan kun kunnen kon moet moeten wil willen zal zullen zou mag doen gaan wat wie waar wanneer hoe waarom
        welke als omdat of om te in op aan bij met naar van voor door over onder uit tot tussen tegen na ook nog al
        wel heel zeer meer veel alle alles er hier daar dan toen dus even graag"""
    ),
    barriers=_words("ik je jij hij wij we als omdat wat wie waar wanneer hoe waarom maar dus"),
    openers=_words("wat wie waar wanneer hoe waarom welke"),
    measures=_words("hoe"),
    degrees=_words("lang veel vaak oud ver"),
    negations=_words("geen nooit zonder"),
    trailing_negations=_words("niet"),
)

RUSSIAN = Language(
    stemmer="russian",
    function=_words(
        """и в во на с со к ко по за из от до о об у для при над под про через между а но или что чтобы как так же ли
        бы это этот эта эти тот та те то я ты он она оно мы вы они меня мне мной тебя тебе его её ему ей нас нам
        вас вам их им себя мой моя моё мои мою моего моей моих твой ваш ваша наш наша свой быть был была было были
        есть будет могу может можно можете нужно надо хочу где когда почему кто какой какая какие каким сколько
        если уже ещё еще только очень тоже там тут здесь все всё весь пожалуйста"""
    ),
    barriers=_words("я ты он она мы вы они что чтобы если как где когда почему кто но пожалуйста"),
    openers=_words("что как где когда почему кто какой какая какие сколько"),
    negations=_words("не нет без никогда ни"),
)

JAPANESE = Language(
    stemmer="",
    function=_words(
        "の は が を に へ と で も や か な だ た て し す る い う れ さ ま せ ん お ご ら り く け っ よ ね わ"
    ),
    barriers=_words("は が を"),
)

CHINESE = Language(
    stemmer="",
    function=_words(
        "的 了 吗 呢 吧 啊 我 你 您 他 她 它 们 是 在 有 和 与 就 都 也 很 这 那 个 会 把 被 给 请 怎 么 什 为"
    ),
    barriers=_words("我 你 您 他 她 吗 呢 请"),
    negations=_words("不 没 未 无"),
)

ARABIC = Language(
    stemmer="arabic",
    function=_words(
        "في من على إلى عن مع هذا هذه ذلك التي الذي هل ما كيف متى أين لماذا أنا هو هي أن إن كان و أو ثم قد كل"
    ),
    negations=_words("لا لم لن ليس غير"),
)

HINDI = Language(
    stemmer="hindi",
    function=_words(
        """है हैं था थी थे हो का की के को में से पर और या भी ही तो मैं मेरा मेरी मेरे मुझे आप आपका हम यह वह ये वे इस
        उस क्या कैसे कब कहाँ क्यों कौन कि जो एक कर करें रहा रही रहे गया गई गए ने लिए सकता सकती"""
    ),
    negations=_words("मत बिना"),
    trailing_negations=_words("नहीं न"),
)

ACRONYMS = frozenset({"IT", "US", "WHO"})
"""Names that look like English function words but for their capitals."""


@dataclass(frozen=True, slots=True)
class _Listed:
    """A language known by its list of stop words, and by the negations among them."""

    stemmer: str
    code: str
    """ISO 639-1."""
    negations: str
    trailing: str = ""

    def language(self) -> Language:
        negations, trailing = _words(self.negations.casefold()), _words(self.trailing.casefold())
        words = frozenset(word.casefold() for word in stopwordsiso.stopwords(self.code))
        return Language(
            stemmer=self.stemmer,
            function=words - negations - trailing,
            negations=negations,
            trailing_negations=trailing,
        )


_LISTED = (
    _Listed("swedish", "sv", "aldrig utan ingen inget inga", trailing="inte ej icke"),
    _Listed("greek", "el", "δεν δε μη μην όχι ποτέ χωρίς"),
    _Listed("danish", "da", "aldrig uden ingen intet", trailing="ikke"),
    _Listed("norwegian", "no", "aldri uten ingen", trailing="ikke ikkje"),
    _Listed("finnish", "fi", "ei en et emme ette eivät älä ilman"),
    _Listed("polish", "pl", "nie nigdy bez żaden żadna"),
    _Listed("czech", "cs", "ne není nejsou nikdy bez žádný žádná"),
    _Listed("hungarian", "hu", "nem ne nincs soha nélkül"),
    _Listed("romanian", "ro", "nu niciodată fără"),
    _Listed("turkish", "tr", "asla hiç", trailing="değil yok"),
    _Listed("indonesian", "id", "tidak tak bukan jangan tanpa belum"),
    _Listed("catalan", "ca", "no mai sense"),
    _Listed("", "uk", "не ні без ніколи"),
)

LANGUAGES: tuple[Language, ...] = (
    ENGLISH,
    GERMAN,
    FRENCH,
    SPANISH,
    ITALIAN,
    PORTUGUESE,
    DUTCH,
    RUSSIAN,
    JAPANESE,
    CHINESE,
    ARABIC,
    HINDI,
    *(listed.language() for listed in _LISTED),
)
"""In the order in which a tie is decided."""
