"""Function words of other languages of Europe, and of Turkish."""

from shoal.labeling.languages.language import Language, words

__all__ = ["ESTONIAN", "FINNISH", "GREEK", "HUNGARIAN", "LATVIAN", "LITHUANIAN", "TURKISH"]

FINNISH = Language(
    code="fi",
    stemmer="finnish",
    function=words(
        """ja on se hän minä sinä me te he minun sinun hänen meidän teidän heidän minua minulle minulla sinua
        sinulle ne tämä tämän tätä tässä tästä tähän tuo tuon nämä nuo sen sitä siinä siitä siihen niitä niiden että
        jos kun koska vaikka tai vai mutta eli sekä kuin joka jonka jota jossa josta johon jotka mikä mitä minkä
        missä mistä mihin kuka ketä kenen miksi miten milloin kuinka paljonko mukaan ole olen olet oli olivat olisi
        olla ollut ovat voi voin voiko voisi voisin pitää täytyy haluan haluaisin saa saan saako myös vielä jo vain
        hyvin niin näin nyt siis täällä siellä kaikki kaikkien kanssa jälkeen ennen asti saakka alla päällä yli ali
        läpi noin hei kiitos tänään eilen sitten edes aina toinen muu muut itse yksi enemmän onko"""
    ),
    barriers=words("minä sinä hän me te he että jos kun koska mutta miksi miten milloin missä mikä mitä hei kiitos"),
    openers=words("mikä mitä missä mistä mihin kuka miksi miten milloin kuinka paljonko"),
    measures=words("kuinka"),
    negations=words("ei en et emme ette eivät eikä enkä älä älkää ilman"),
    adverbs=words("ole olleet enää vielä kunnolla"),
)

HUNGARIAN = Language(
    code="hu",
    stemmer="hungarian",
    function=words(
        """a az egy és vagy de hogy ha mert is már még csak itt ott ez azt ezt ezek azok én te ő mi ti ők engem
        téged őt minket nekem neked neki nekünk enyém van vannak vagyok volt voltak lesz lenne lehet kell akarok
        szeretném szeretnék tudok tud tudom mit ki kit hol hova hová honnan mikor miért hogyan hogy milyen melyik
        mennyi hány amely aki ami amikor ahol mint nagyon minden mindig meg el fel le be ki rá után előtt alatt
        felett között szerint miatt óta ig által pedig illetve azonban tehát ezért úgy így most ma tegnap kérem
        helló köszönöm köszönjük más másik saját volna legyen"""
    ),
    barriers=words("én te ő hogy ha mert de mit ki hol mikor miért hogyan aki ami helló köszönöm kérem"),
    openers=words("mit ki kit hol hova mikor miért hogyan milyen melyik mennyi hány"),
    negations=words("nem ne soha sem se"),
    trailing_negations=words("nélkül nincs nincsenek sincs"),
)

GREEK = Language(
    code="el",
    stemmer="greek",
    function=words(
        """ο η το οι τα του της των τον την τους τις στο στη στην στον στα στις στους ένας μία μια ένα και ή αλλά να
        θα ότι πως που αν όταν γιατί επειδή ώστε όπως εγώ εσύ αυτός αυτή αυτό αυτοί αυτές αυτά εμείς εσείς με σε μας
        σας μου σου τους για από προς κατά μετά πριν μέχρι έως ως παρά μεταξύ κάτω πάνω είναι είμαι είσαι ήταν είχε
        έχω έχει έχουν έχετε είχα μπορώ μπορεί μπορείτε θέλω θέλει πρέπει πώς πού πότε ποιος ποια ποιο ποιον ποιες
        πόσο πόση πόσα πόσες τι πολύ πιο κι ακόμα ακόμη ήδη μόνο επίσης εδώ εκεί τώρα σήμερα χθες όλα όλοι όλες όλη
        κάθε κάποιος κάποια κάτι άλλος άλλη άλλο γεια ευχαριστώ παρακαλώ λοιπόν πάντα αφού"""
    ),
    barriers=words("εγώ εσύ ότι πως που αν όταν γιατί επειδή αλλά πώς πού πότε ποιος τι γεια ευχαριστώ παρακαλώ"),
    openers=words("πώς πού πότε ποιος ποια ποιο πόσο πόση πόσα πόσες τι γιατί"),
    negations=words("δεν δε μη μην όχι ποτέ χωρίς δίχως κανένας καμία κανένα τίποτα ούτε"),
    adverbs=words("ακόμα ακόμη πια σωστά"),
)

TURKISH = Language(
    code="tr",
    stemmer="turkish",
    function=words(
        """ve veya ya da de ile için bir bu şu o ben sen biz siz onlar benim senin onun bizim sizin onların bana
        sana ona bize size beni seni onu bizi sizi mi mı mu mü miyim ne neden niçin niye nasıl nerede nereye nereden
        kim kime kimin hangi kaç zaman gibi kadar daha çok az en her bütün tüm bazı ama fakat ancak çünkü eğer ki
        ise idi olarak olan oldu olur olmak var sonra önce üzere göre doğru karşı beri şimdi bugün dün hala hâlâ
        artık sadece yine tekrar lütfen merhaba teşekkürler teşekkür ederim şey diğer başka aynı kendi hem etmek
        ediyorum istiyorum"""
    ),
    barriers=words("ben sen biz siz ne neden nasıl nerede kim hangi ama fakat çünkü eğer lütfen merhaba teşekkürler"),
    openers=words("ne neden niçin niye nasıl nerede nereye kim hangi kaç"),
    negations=words("asla hiç hiçbir"),
    trailing_negations=words("değil degil yok olmadan"),
)

ESTONIAN = Language(
    code="et",
    stemmer="estonian",
    function=words(
        """ja on see ta ma mina sa sina me meie te teie nad nemad minu sinu tema mu su oma mind mulle mul sind sulle
        seda selle selles sellest need neid et kui sest kuigi või aga kuid ning kes keda kelle mis mida mille kus
        kust kuhu miks kuidas millal milline palju kas olen oled oli olid oleks olema olnud saab saan võib tuleb
        tahan tahaks ka veel juba ainult väga nii siin seal kõik koos pärast enne kuni all peal üle läbi tere aitäh
        täna eile siis alati teine ise üks rohkem palun"""
    ),
    barriers=words("ma sa ta me te et kui sest aga miks kuidas millal kus kes mis tere aitäh palun"),
    openers=words("kes mis mida kus miks kuidas millal milline"),
    negations=words("ei ära ilma mitte pole pole polnud"),
)

LATVIAN = Language(
    code="lv",
    stemmer="",
    function=words(
        """un ir tas tā es tu viņš viņa mēs jūs viņi viņas mans mana manu mani tavs tava savs sava man tev viņam
        mums jums to tos šis šī šo šie ka ja kad jo lai vai bet kas ko kam kur kāpēc kā cik kurš kura kuru esmu esi
        bija būs būtu būt var varu vajag gribu vēlos arī vēl jau tikai ļoti tad tagad te šeit viss visi visu ar no
        uz par pie pēc pirms līdz zem virs caur starp šodien vakar sveiki paldies lūdzu cits cita viens viena vairāk"""
    ),
    barriers=words("es tu mēs jūs ka ja kad jo bet kas kur kāpēc kā sveiki paldies lūdzu"),
    openers=words("kas ko kur kāpēc kā cik kurš kura kad"),
    negations=words("ne nav bez nekad nevar neviens"),
)

LITHUANIAN = Language(
    code="lt",
    stemmer="lithuanian",
    function=words(
        """ir yra tai aš tu jis ji mes jūs jie jos mano tavo jo jos mūsų jūsų man tau jam mums jums tas ta to šis ši
        šio kad jei kai nes ar bet kas ką kam kur kodėl kaip kiek kuris kuri kurį esu buvo bus būtų būti gali galiu
        reikia noriu taip pat dar jau tik labai tada dabar čia visi visas viskas su iš į ant apie prie po prieš iki
        virš per tarp šiandien vakar labas ačiū prašau kitas kita vienas viena daugiau už nuo"""
    ),
    barriers=words("aš tu mes jūs kad jei kai nes bet kas kur kodėl kaip labas ačiū prašau"),
    openers=words("kas ką kur kodėl kaip kiek kuris kuri kada"),
    negations=words("ne nėra be niekada nebe joks jokia"),
)
