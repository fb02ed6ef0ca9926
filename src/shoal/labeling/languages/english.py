"""Function words of English."""

from shoal.labeling.languages.language import Language, words

__all__ = ["ACRONYMS", "ENGLISH", "LOST_APOSTROPHES"]

LOST_APOSTROPHES = {
    f"{verb}nt": f"{verb}n't"
    for verb in words("""is are was were do does did ca could wo would should has have had ai must need might sha""")
}
"""Contracted negations as they are written without their apostrophe, and with it."""

ACRONYMS = frozenset({"IT", "US", "WHO"})
"""Names that look like English function words but for their capitals."""

_ENGLISH_PREPOSITIONS = words(
    """of to in on at by for with from into onto upon about between among through during before after above below
    under within against toward towards via per across around behind beyond near than like as since until"""
)
_ENGLISH_OPENERS = words("how why when where what which who whom whose what's who's where's how's whats")
_ENGLISH_BARRIERS = _ENGLISH_OPENERS | words(
    """i you he she we they if because while although though unless whether that please so but then also just i'm
    i've i'd i'll you're you've you'd you'll he's she's it's we're we've they're they've there's that's im ive
    thanks thank hi hello hey ok okay"""
)
_ENGLISH_LIGHT = words(
    """get gets got getting gotten go goes going went gone gonna want wants wanted wanna need needs needed know
    knows knew known make makes making made take takes took taking taken let lets let's see seem seems tell give
    gives gave given giving put say says said think try trying tried able keep keeps come comes came coming use used
    uses using help helping"""
)

ENGLISH = Language(
    code="en",
    stemmer="english",
    function=_ENGLISH_PREPOSITIONS
    | _ENGLISH_BARRIERS
    | _ENGLISH_LIGHT
    | words(
        """a an the this that these those my your his her its our their some any each every both either such same
        own other another i you he she it we they me him us them myself yourself himself herself itself ourselves
        themselves one ones someone anyone everyone something anything everything mine yours hers ours theirs am is
        are was were be been being do does did doing done have has had having can could will would shall should may
        might must ought and or but so if because while although though unless until whether really very just also
        too only even still already yet again there here now quite rather maybe perhaps however ever always often
        sometimes usually once much many more most less least few lot lots bit well else almost all yes etc eg ie vs
        re ve ll actually currently today something's couple kind sort thing things way anyway instead ago would've
        i.e e.g based starring featuring including"""
    ),
    barriers=_ENGLISH_BARRIERS,
    openers=_ENGLISH_OPENERS | words("can could do does did is are am will would should may"),
    degrees=words("long much many old often far big tall fast soon quickly late early high low"),
    negations=words(
        """not no never without cannot unable nothing none nowhere neither nor hardly barely don isn aren wasn weren
        doesn didn couldn wouldn shouldn hasn hadn"""
    )
    | words("isnot arenot wasnot werenot donot doesnot didnot couldnot wouldnot shouldnot hasnot havenot willnot")
    | frozenset(LOST_APOSTROPHES),
    adverbs=words(
        """longer yet even still fully quite really very just also currently actually always ever entirely
        completely only exactly properly correctly again able"""
    ),
    adverb_ending="ly",
    particles=words("up off out down back away"),
    modifiers=words(
        """last next new old first second third good better best great nice bad right different certain specific
        current recent several various two three four five exact full real whole possible favorite favourite big
        small top own far long nearest closest"""
    ),
    phrasal=words("log logs logged logging sign signs signed signing check checks checked checking opt opted opting"),
    tied=words("in on"),
    fillers=words("a an the my your our"),
    determiners=words("a an the my your our his her its their this these those some any each every"),
    measures=words("how"),
    light=_ENGLISH_LIGHT,
    prepositions=_ENGLISH_PREPOSITIONS,
)
