"""Function words of German, Dutch and the Scandinavian languages."""

from shoal.labeling.languages.language import Language, words

__all__ = ["AFRIKAANS", "DANISH", "DUTCH", "GERMAN", "NORWEGIAN", "SWEDISH"]

GERMAN = Language(
    code="de",
    stemmer="german",
    function=words(
        """gestern morgen wissen
        der die das den dem des ein eine einen einem einer eines und oder aber ich du er sie es wir ihr mich mir
        dich dir sich uns euch ihm ihn ihnen mein meine meinen meinem meiner meines dein deine deinen deinem deiner
        sein seine seinen seinem seiner seines ihre ihren ihrem ihrer ihres unser unsere unseren unserem unserer
        euer eure dieser diese dieses diesen diesem jener jene jenes jenen bin bist ist sind seid war waren wäre
        wären sei seien gewesen habe hast hat haben hatte hatten hätte hätten gehabt wird werden wurde wurden worden
        werde würde würden geworden kann kannst können könnte könnten konnte konnten soll sollen sollte sollten muss
        müssen musste mussten müsste möchte möchten will wollen wollte wollten darf dürfen durfte mag lassen lässt
        wie was wer wen wem wo wohin woher wann warum wieso weshalb welche welcher welches welchen wenn weil dass ob
        als auch noch nur schon sehr so zu zum zur im in an am auf aus bei beim mit nach von vom vor für über unter
        um durch gegen bis seit zwischen während wegen trotz ab da dort hier denn dann doch mal bitte etwas alle
        alles allem allen aller man es gibt ja immer wieder mehr viel vielen etwa andere anderen anderer anderes
        anderem jetzt nun also sowie sondern jedoch bereits etwa sogar selbst beide beiden einige einigen jeder jede
        jedes jeden jedem mancher manche solche solcher solchen dazu dabei damit daran darauf daraus davon dafür
        daher darin darum deren dessen denen bzw ganz eben gar heute hallo danke obwohl damals außer ohnehin gern
        gerne weiter weitere weiteren eher fast kaum leider machen macht geht gehen hin her zwar deshalb deswegen
        trotzdem zudem ferner bevor nachdem"""
    ),
    barriers=words(
        """ich du er wir wenn weil dass ob bitte aber wie was wer wo wann warum wieso denn sondern obwohl hallo
        danke"""
    ),
    openers=words("wie was wer wo wann warum wieso welche welcher welches"),
    measures=words("wie"),
    degrees=words("lange viel viele oft weit alt hoch"),
    negations=words("kein keine keinen keinem keiner keines ohne weder"),
    trailing_negations=words("nicht nie niemals nirgends nichts nirgendwo"),
    adverbs=words("richtig korrekt wirklich leider immer noch mehr sofort vollständig einfach automatisch"),
    prepositions=words(
        """zu zum zur im in an am auf aus bei beim mit nach von vom vor für über unter um durch
        gegen bis seit zwischen während wegen trotz ab ohne"""
    ),
)

DUTCH = Language(
    code="nl",
    stemmer="dutch",
    function=words(
        """weten gisteren morgen
        de het een en of maar ik je jij u hij zij ze wij we jullie hen hem haar me mij jou ons mijn jouw uw zijn
        hun onze dit dat deze die is ben bent was waren wezen geweest heb hebt heeft hebben had hadden wordt worden
        werd werden word kan kun kunt kunnen kon konden moet moeten moest wil willen wilde zal zullen zou zouden mag
        mogen doen doet gaan gaat wat wie waar wanneer hoe waarom welke welk als omdat om te in op aan bij met naar
        van voor door over onder uit tot tussen tegen na ook nog al wel heel zeer meer veel alle alles er hier daar
        dan toen dus even graag sinds vanaf per zoals toch echter andere ander nu weer alleen eens elk elke iets
        iemand zich zelf hallo bedankt dank vandaag want tijdens onze"""
    ),
    barriers=words("ik je jij hij wij we als omdat wat wie waar wanneer hoe waarom maar dus hallo bedankt"),
    openers=words("wat wie waar wanneer hoe waarom welke"),
    measures=words("hoe"),
    degrees=words("lang veel vaak oud ver"),
    negations=words("geen zonder"),
    trailing_negations=words("niet nooit niets nergens"),
    adverbs=words("goed meer nog correct volledig automatisch helemaal"),
    prepositions=words(
        """te in op aan bij met naar van voor door over onder uit tot tussen tegen na sinds vanaf
        per tijdens om"""
    ),
)

SWEDISH = Language(
    code="sv",
    stemmer="swedish",
    function=words(
        """vilja veta igår
        och det att i en jag hon som han på den med var sig för så till är men ett om hade de av mig du henne då
        sin nu har ni dem min er honom eller skulle skall ska era ha över mot mitt mina mellan under går gör man
        detta kan vår dessa ut när hur denna vi varje din ditt dina sitt hans hennes hos vad där redan också bara
        mycket mer än efter upp ned ner in bli blir blev blivit vara varit få får fått ju här från före sedan samt
        eftersom medan fast vid genom varför vem vilken vilket vilka alla allt annan annat andra någon något några
        samma själv dig oss vårt våra ert deras dess därför kunde måste vill ville bör finns finnas skulle hej tack
        idag igen även nog därmed gjort göra gick"""
    ),
    barriers=words("jag du han hon vi ni som om att men hur när var varför vad vem eftersom medan hej tack"),
    openers=words("hur när var varför vad vem vilken vilket vilka"),
    measures=words("hur"),
    degrees=words("länge många mycket ofta gammal långt stor"),
    negations=words("utan ingen inget inga"),
    trailing_negations=words("inte ej icke aldrig"),
    adverbs=words("längre riktigt korrekt heller alltid"),
    prepositions=words("""på i av till för med från om efter mot mellan under över vid genom hos före sedan"""),
)

DANISH = Language(
    code="da",
    stemmer="danish",
    function=words(
        """vide vil gerne igår
        og i jeg det at en den til er som på de med han af for der var mig sig men et har om vi min havde ham hun
        nu over da fra du ud sin dem os op man hans hvor eller hvad skal selv her alle vil blev kunne ind når være
        dog noget ville jo deres efter ned skulle denne end dette mit også under have dig anden hende mine alt meget
        sit sine vor mod disse hvis din nogle hos blive mange ad bliver hendes været jer sådan hvorfor hvordan
        hvornår hvem hvilken hvilket hvilke kan må ja så fordi mens før siden ved mere mest andre igen allerede kun
        dit dine vores jeres få får fik gør gøre går hej tak gennem mellem hver ting"""
    ),
    barriers=words("jeg du han hun vi som om at men hvor hvad hvis fordi hvorfor hvordan hvornår hej tak"),
    openers=words("hvor hvad hvorfor hvordan hvornår hvem hvilken hvilket hvilke"),
    measures=words("hvor"),
    degrees=words("længe mange meget ofte gammel langt stor"),
    negations=words("uden ingen intet"),
    trailing_negations=words("ikke aldrig ej"),
    adverbs=words("længere rigtigt korrekt endnu altid"),
    prepositions=words("""på i af til for med fra om efter mod mellem under over ved gennem hos før siden"""),
)

NORWEGIAN = Language(
    code="no",
    stemmer="norwegian",
    function=words(
        """vite gjerne igår
        og i jeg det at en et den til er som på de med han av der så var meg seg men ett har om vi min mitt ha
        hadde hun nå over da ved fra du ut sin dem oss opp man kan hans hvor eller hva skal selv sjøl her alle vil
        bli ble blei blitt kunne inn når være kom noen noe ville dere deres etter ned skulle denne for deg si sine
        sitt mot å meget hvorfor dette disse hvordan din ditt blir samme hvilken hvilke hvem hvis siden fordi før
        mens mer enn også bare kun mye mange annen andre igjen allerede må får fått gjør gjøre går hei takk mellom
        under gjennom eg dei vere frå kva korleis kvifor mine dine vår vårt våre hver hennes"""
    ),
    barriers=words("jeg du han hun vi som om at men hvor hva hvis fordi hvorfor hvordan når hei takk"),
    openers=words("hvor hva hvorfor hvordan når hvem hvilken hvilke"),
    measures=words("hvor"),
    degrees=words("lenge mange mye ofte gammel langt stor"),
    negations=words("uten ingen intet"),
    trailing_negations=words("ikke ikkje aldri ei"),
    adverbs=words("lenger riktig korrekt ennå alltid"),
    prepositions=words("""på i av til for med fra om etter mot mellom under over ved gjennom hos før siden"""),
)

AFRIKAANS = Language(
    code="af",
    stemmer="",
    function=words(
        """die 'n en van in is dat om te met vir op het ek jy hy sy ons julle hulle my jou haar hom dit wat wie waar
        hoe wanneer hoekom aan as by uit na oor tot maar of ook sal kan moet wil was word deur so nog al daar hier
        hierdie daardie se baie meer toe dan asseblief"""
    ),
    barriers=words("ek jy hy sy ons wat wie waar hoe wanneer hoekom maar as"),
    openers=words("wat wie waar hoe wanneer hoekom"),
    negations=words("geen sonder"),
    trailing_negations=words("nie nooit"),
)
