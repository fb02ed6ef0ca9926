"""Function words of the Romance languages."""

from shoal.labeling.languages.language import Language, words

__all__ = ["CATALAN", "FRENCH", "GALICIAN", "ITALIAN", "PORTUGUESE", "ROMANIAN", "SPANISH"]

FRENCH = Language(
    code="fr",
    stemmer="french",
    function=words(
        """savoir être qu c j l n m s t
        le la les un une des du de d au aux et ou mais je tu il elle on nous vous ils elles me te se moi toi lui
        leur leurs y en mon ma mes ton ta tes son sa ses notre nos votre vos ce cet cette ces ça cela ceci est sont
        suis es êtes sommes était étaient serait sera être été ai as a avons avez ont avait avoir fait faire peux
        peut pouvez peuvent pourrait veux veut voudrais dois doit doivent qui que quoi quel quelle quels quelles
        dont où quand comment pourquoi combien si comme à dans sur sous avec par pour entre vers chez depuis avant
        après pendant très moins aussi encore déjà toujours tout tous toute toutes même mêmes autre autres donc car
        ici là alors bien ainsi afin lors lorsque puisque parce selon leur quelque quelques chaque plusieurs celui
        celle ceux celles bonjour merci svp aujourd'hui hier demain va vais allez aller peu trop etc jusqu jusque
        contre hors via ont eu soit seulement"""
    ),
    barriers=words(
        """je tu nous vous ils elles qui que qu quoi où si comment pourquoi quand mais donc car parce lorsque bonjour
        merci"""
    ),
    openers=words("qui que quoi quel quelle quels quelles où quand comment pourquoi combien"),
    negations=words("ne n sans aucun aucune non ni"),
    trailing_negations=words("pas plus jamais rien guère"),
    adverbs=words("encore toujours bien vraiment correctement"),
    adverb_ending="ment",
    prepositions=words(
        """à de d du des aux au dans en sur sous avec par pour entre vers chez depuis avant après
        pendant sans selon contre"""
    ),
)

SPANISH = Language(
    code="es",
    stemmer="spanish",
    function=words(
        """gustaría saber ha sea
        el la los las un una unos unas de del al a y e o u pero yo tú él ella ello nosotros ellos ellas usted
        ustedes me te se nos le les lo mi mis mí tu tus su sus nuestro nuestra este esta estos estas esto ese esa
        esos esas eso aquel es son soy eres era fue ser sido sea está están estoy estar estaba he ha han había haber
        hay tengo tiene tienen tener puedo puede pueden poder quiero quiere quisiera debo debe deben hacer hace que
        qué quién cuál cuáles cuándo cómo dónde cuánto cuánta cuántos cuántas por para con en sobre entre hasta
        desde durante contra según tras ante si sí porque pues como cuando donde muy más menos mucho también ya aún
        todavía todo toda todos todas otro otra otros otras mismo misma cada alguno algún alguna algo aquí ahí allí
        así favor hola gracias hoy ayer solo sólo siempre voy va ir le cual cuyo mientras aunque sino entonces"""
    ),
    barriers=words(
        """yo que qué si porque cómo cuándo dónde pero quién cuál favor hola gracias aunque mientras pues"""
    ),
    openers=words("qué quién cuál cuáles cuándo cómo dónde cuánto cuánta cuántos cuántas"),
    negations=words("no nunca sin ningun jamas ningún ninguna ninguno jamás ni tampoco nada"),
    adverbs=words("bien aún todavía más correctamente"),
    adverb_ending="mente",
    prepositions=words("""a al de del en con por para sobre entre hasta desde durante contra según tras ante"""),
)

ITALIAN = Language(
    code="it",
    stemmer="italian",
    function=words(
        """ad piacerebbe vorrei sapere c dov com cos quell quest
        il lo la i gli le un uno una di del dello della dei degli delle a al allo alla ai agli alle da dal dalla
        dallo dai dagli dalle in nel nello nella nei negli nelle con col su sul sulla sui sugli sulle per tra fra e
        ed o od ma io tu lui lei noi voi loro mi ti si ci vi ne me te se mio mia miei mie tuo tua tuoi tue suo sua
        suoi sue nostro nostra vostro vostra questo questa questi queste quello quella quelli quelle è sono sei era
        erano essere stato stata stati state sia ho hai ha abbiamo avete hanno aveva avere posso puoi può possono
        potrei voglio vuole vorrei devo deve devono fare fa che chi cosa cui quale quali quando come dove perché
        quanto quanta quanti quante anche più meno molto già ancora sempre solo tutto tutta tutti tutte altro altra
        altri altre stesso ogni qualche qui qua là lì così poi però quindi mentre durante dopo prima verso contro
        ciao grazie oggi ieri dell all nell sull dall d l un"""
    ),
    barriers=words("io che chi se perché come quando dove ma cosa però mentre quindi ciao grazie"),
    openers=words("che chi cosa quale quali quando come dove perché quanto quanta quanti quante"),
    negations=words("non senza mai nessun nessuna nessuno né niente nulla"),
    adverbs=words("ancora più bene correttamente"),
    adverb_ending="mente",
    prepositions=words(
        """a al allo alla ai agli alle di del dello della dei degli delle da dal dallo dalla dai
        dagli dalle in nel nello nella nei negli nelle con su sul sulla sui sugli sulle per tra fra
        dell all nell sull dall"""
    ),
)

PORTUGUESE = Language(
    code="pt",
    stemmer="portuguese",
    function=words(
        """gostaria saber fui foi fomos
        o a os as um uma uns umas de do da dos das em no na nos nas ao à aos às por pelo pela pelos pelas para
        com sobre entre até desde durante contra e ou mas eu tu ele ela nós vocês você eles elas me te se lhe meu
        minha meus minhas teu tua seu sua seus suas nosso nossa nossos nossas este esta estes estas isto esse essa
        esses essas isso aquele aquela aquilo é são sou era foi ser sido seja está estão estou estar estava foram
        ter tem tenho têm tinha há havia posso pode podem poder quero quer queria devo deve fazer faz que quem qual
        quais quando como onde quanto quanta quantos porque se também já ainda mais menos muito muita só todo toda
        todos todas tudo outro outra outros outras mesmo mesma cada algum alguma algo aqui ali aí assim então pois
        sempre favor olá obrigado obrigada hoje ontem vou vai ir dele dela deles num numa"""
    ),
    barriers=words("eu que se porque como quando onde mas quem favor olá obrigado obrigada pois"),
    openers=words("que quem qual quais quando como onde quanto quantos"),
    negations=words("não nao nunca sem nenhum nenhuma jamais nem nada"),
    adverbs=words("ainda mais bem corretamente"),
    adverb_ending="mente",
    prepositions=words(
        """a ao aos à às de do da dos das em no na nos nas por pelo pela pelos pelas para com sobre
        entre até desde durante contra num numa"""
    ),
)

ROMANIAN = Language(
    code="ro",
    stemmer="romanian",
    function=words(
        """aș dori știu
        și de la în a cu pe care o un că este sunt să din ce mai se pentru al ai ale am ar are au fi fost fie dar
        sau dacă ca când cum unde cine cât câtă câți câte eu tu el ea noi voi ei ele mă te îl îi le ne vă își mi ți
        meu mea mei mele tău ta tăi tale său sa săi sale nostru noastră lor lui ei acest această aceste acești acel
        acea acela asta aceasta acolo aici tot toate toți foarte doar numai prin după până spre sub peste între
        către despre deci deoarece deja încă iar vreau vrea pot poate trebuie fac face va vor voi aș ați bună
        mulțumesc azi astăzi ieri acum îmi cel cea cei cele altă alt alte unui unei unor"""
    ),
    barriers=words("eu tu că care dacă când cum unde cine dar deoarece bună mulțumesc"),
    openers=words("ce care cine când cum unde cât câtă câți câte"),
    negations=words("nu n fără fara niciodata niciodată niciun nicio nimic nici"),
    adverbs=words("încă mai corect bine"),
    prepositions=words("""de la în a cu pe din pentru prin după până spre sub peste între către despre"""),
)

CATALAN = Language(
    code="ca",
    stemmer="catalan",
    function=words(
        """saber agradaria
        el la els les l un una uns unes de del dels d a al als i o però jo tu ell ella nosaltres vosaltres ells
        elles em et es ens us li hi ho en meu meva meus meves teu teva seu seva seus seves nostre nostra aquest
        aquesta aquests aquestes això aquell aquella és són soc ets era ser estat està estan estic estar he ha han
        havia haver tinc té tenen tenir puc pot poden vull vol voldria cal fer fa que què qui quin quina quins
        quines quan com on quant quanta quants per perquè amb sobre entre fins des durant contra segons si molt més
        menys també ja encara tot tota tots totes altre altra altres mateix cada algun alguna aquí allà així hola
        gràcies avui ahir doncs sempre només mentre"""
    ),
    barriers=words("jo que què si perquè com quan on però qui quin hola gràcies doncs"),
    openers=words("què qui quin quina quins quines quan com on quant quanta quants"),
    negations=words("no mai sense cap ni tampoc res"),
    adverbs=words("encara bé correctament"),
    adverb_ending="ment",
    prepositions=words("""a al als de del dels d en amb sobre entre fins des durant contra segons per"""),
)

GALICIAN = Language(
    code="gl",
    stemmer="",
    function=words(
        """o a os as un unha uns unhas de do da dos das en no na nos nas ao á aos ás por polo pola para con e ou
        pero eu ti el ela nós vós eles elas me te se lle lles meu miña meus miñas teu túa seu súa este esta isto ese
        esa iso é son era foi ser estar está están hai teño ten poden podo pode quero fai que quen cal cando como
        onde canto porque tamén xa máis menos moi todo toda todos todas aquí así ola grazas"""
    ),
    barriers=words("eu que se porque como cando onde pero quen"),
    openers=words("que quen cal cando como onde canto"),
    negations=words("non nunca sen ningún ningunha"),
)
