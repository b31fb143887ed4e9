"""Word lists of the light tagger: written for this project, by word class, the commonest first.

Ambiguous words ("force", "work") stand under NOUNS_AND_VERBS: their neighbours decide.
"""

from __future__ import annotations


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


DETERMINERS = _set(
    """
    the a an this that these those my your his her its our their some any each every either
    neither no another such both all many much few several most more less fewer half what
    which whose whatever whichever one two three four five six seven eight nine ten eleven
    twelve hundred thousand million billion first second third fourth fifth last next same
    other own enough various certain
    """
)
PRONOUNS = _set(
    """
    i you he she it we they who me him us them myself yourself himself herself itself
    ourselves themselves someone somebody something anyone anybody anything everyone everybody
    everything nobody nothing none whom mine yours hers ours theirs there here one's let's
    """
)
PREPOSITIONS = _set(
    """
    of in on at by for with from into onto about above across after against along among around
    as before behind below beneath beside besides between beyond despite down during except
    inside like near off opposite out outside over past per since through throughout than
    toward towards under underneath unlike until till up upon via within without amid
    regarding concerning including versus vs times plus minus
    """
)
OTHERS = _set(
    """
    and or but nor so yet because if whether although though while whereas unless when
    whenever where wherever why how not n't never ever also too very quite rather almost just
    only even still already again soon now then thus hence therefore however moreover
    furthermore nevertheless otherwise instead together apart away back forward backward once
    twice always often sometimes usually rarely seldom perhaps maybe indeed anyway well far
    further later earlier sooner today yesterday tomorrow yes okay ok oh hello hi hey please
    else namely e.g i.e eg ie etc al approx ca percent thereby whereby wherein therein overall
    e.g. i.e.
    """
)
MODALS = _set(
    """
    can could may might must shall should will would cannot can't couldn't won't wouldn't
    shouldn't mustn't to don't doesn't didn't let's do does did i'll you'll we'll they'll
    it'll i'd you'd we'd they'd
    """
)
"""Words that a bare verb follows."""
SUBJECTS = _set("i you he she it we they who which that i've we've they've you've")
"""Words that a verb follows."""
VERBS = _set(
    """
    be have do go get give take make come know see say tell think become seem find keep let
    put bring begin write read hear learn understand explain describe define determine
    calculate compute solve consider assume suppose require involve include contain consist
    depend provide produce allow enable help prevent occur happen exist appear remain stay
    grow increase decrease reduce reach receive obtain gain lose send meet follow lead leave
    enter arrive return carry hold stand sit lie lay fall rise raise drop throw catch push
    pull lift break build create destroy add subtract multiply divide sum equal exceed compare
    convert transform replace remove insert apply choose select pick prefer decide try attempt
    want wish hope expect believe agree prove show demonstrate indicate suggest imply mean
    refer relate represent denote express state identify recognise recognize classify
    distinguish separate combine connect attach join mix dissolve melt freeze boil evaporate
    condense burn react oxidise oxidize absorb emit reflect refract scatter transmit travel
    move accelerate rotate spin orbit oscillate vibrate expand contract compress stretch bend
    flow attract repel interact collide generate store release transfer transport conduct
    insulate heat cool warm feed eat drink breathe digest excrete secrete reproduce evolve
    adapt survive die live kill infect inherit mutate encode translate transcribe bind
    activate inhibit regulate maintain protect support surround cover enclose form develop
    design implement execute perform run stop start continue finish complete end use utilize
    utilise need ask answer call name speak talk discuss mention note observe notice measure
    estimate evaluate assess analyze analyse examine investigate explore study test check
    verify ensure avoid ignore fail succeed win buy sell pay cost spend save own owe earn
    share serve work play watch look listen feel touch smell taste sleep wake walk drive ride
    fly swim jump climb simplify factor differentiate integrate substitute rearrange rewrite
    plug derive satisfy cancel yield undergo affect influence alter modify vary shift differ
    belong compose comprise constitute possess lack exhibit display arise originate result
    stem tend cause act behave function operate assign declare initialise initialize iterate
    loop print pass delete append sort search parse predict prohibit respond stimulate
    contribute detect locate discover capture participate lessen deposit withdraw borrow
    collect gather deliver ship plant harvest bake cook cut fill empty pour visit invite
    accept refuse deny admit claim argue persuade convince remind remember forget recall
    imagine wonder worry enjoy love like hate appreciate thank apologise apologize please
    ensue facilitate minimise minimize maximise maximize optimise optimize enhance improve
    worsen strengthen weaken lower strive aim seek offer propose recommend advise guide teach
    train educate inform notify warn confirm deduce conclude infer summarise summarize
    illustrate depict draw paint sketch plot label mark list count round approximate truncate
    am is are was were been being has had having does did done goes went gone got gotten gave
    given took taken made came knew known saw seen said told thought became found kept brought
    began begun wrote written heard learnt understood held stood sat lain fell fallen rose
    risen threw thrown caught broke broken built led left lost sent met grew grown drew drawn
    chose chosen spoke spoken ate eaten drank drunk bought sold paid spent drove driven rode
    ridden flew flown swam swum ran won wore worn meant felt slept taught sought bound froze
    frozen arose arisen underwent undergone isn't aren't wasn't weren't hasn't haven't hadn't
    i'm you're we're they're it's that's
    """
)
NOUNS_AND_VERBS = _set(
    """
    force work charge change increase decrease need result cause form use help answer question
    look run move start end play study test measure heat cool warm cost name state point show
    balance rise fall drop lead cover control contact attack act record report flow process
    reach return support stop walk drive ride share sum factor function yield shift influence
    display list count plot label mark note call claim argument plant transfer transport
    release store search print pass sort loop design train guide value estimate love wish hope
    attempt try ship cut visit offer draw round sketch level pressure model sample benefit
    interest matter mean spin orbit travel drink sleep taste smell touch watch talk harvest
    push lift break throw reply supply address access experiment experience exercise stress
    strain impact limit range rate rank scale size shape sound light view vote focus harm
    damage waste water air fuel fire cross group order place position power price profit
    promise reason request research review risk rule season sense service set signal sign
    stand step structure style surface swing switch target task tie time tour trade trap trick
    trip turn twist type wave weight wind wonder worry map match mine mix number object pack
    paint park part pattern pay permit phone picture plan program project mirror milk link
    lack key kick kiss land laugh layer lock log loss board bond book bottle branch bridge
    brush burn cast chain challenge chance check circle class click close cloud code coat
    colour color comment copy crack crash cry cycle dance date deal debate delay demand desire
    detail diet dose doubt dress dust duty edge effect escape exchange excuse exit face farm
    fear feature feed field fight figure file film filter finish fish fit fix fold frame gain
    glue grade guard guess hand head host hurt ice imprint index issue joke judge jump
    """
)
ADJECTIVES = _set(
    """
    good better best bad worse worst big bigger biggest small smaller smallest large larger
    largest great greater greatest high higher highest low lower lowest long longer longest
    short shorter shortest new newer newest old older oldest young early late fast faster
    fastest slow slower slowest hot hotter hottest cold colder coldest warm cool dry wet hard
    harder hardest soft strong stronger strongest weak weaker weakest heavy heavier heaviest
    light lighter dark bright clear clean dirty full empty open closed free busy easy easier
    easiest difficult simple simpler complex right wrong true false correct incorrect real
    whole entire single double triple main major minor important necessary sufficient possible
    impossible likely unlikely able unable available different similar equal unequal common
    rare usual unusual special specific particular general natural physical chemical
    mechanical electrical electric magnetic thermal nuclear molecular atomic solar lunar human
    total final initial original current previous following recent modern ancient positive
    negative neutral active passive direct indirect constant stable unstable static distinct
    appropriate immune unique multiple extinct soluble male female broad tall smooth organic
    potential dynamic linear nonlinear parallel perpendicular vertical horizontal straight
    flat round square circular rectangular triangular red blue green yellow black white brown
    grey gray pink purple deep deeper shallow wide wider narrow thick thin near close closer
    far distant local global public private social political economic financial legal medical
    scientific technical digital online popular famous known unknown given certain sure ready
    happy sad nice kind fair safe dangerous healthy sick dead alive rich poor cheap expensive
    little tiny huge enormous vast average mean upper inner outer internal external left top
    bottom central middle opposite separate complete incomplete perfect exact approximate
    precise accurate quick rapid sudden prime even odd finite infinite rational irrational
    imaginary visible invisible fresh frozen raw solid rigid elastic inert noble ideal pure
    mixed inorganic acidic basic aerobic anaerobic renewable relevant significant independent
    dependent efficient consistent transparent permanent apparent frequent absent present
    resistant abundant dominant recessive instant elegant brilliant pregnant equivalent
    patient convenient confident silent violent intelligent excellent evident persistent
    subsequent adjacent magnificent northern southern eastern western stepwise likewise worth
    aware alone afraid asleep own sole mere sheer utter bare due
    """
)
NOUNS = _set(
    """
    animal mineral metal material signal interval integral crystal hospital journal capital
    decimal terminal arrival removal proposal trial goal meal deal seal coal soil oil nail
    tail rail mail email vial spiral ritual rival festival survival approval renewal
    withdrawal denial burial cereal numeral canal pedal medal fossil petal skull shell cell
    wall hall ball hill bill mill pill bell derivative objective motive perspective adjective
    detective additive alternative representative incentive executive archive olive hive topic
    music metric clinic logic arithmetic fabric traffic critic mechanic characteristic
    statistic graphic picnic antibiotic ceramic epidemic family supply reply assembly anomaly
    butterfly belly jelly ally bully monopoly bed seed speed breed weed shed sled creed deed
    building meaning spring string ring king thing wing ceiling evening morning feeling
    reading ending bearing coating engineering reasoning clothing housing painting drawing
    writing spelling warning meeting wedding farming mining bonding boiling melting freezing
    swelling lightning training teaching testing processing programming computing marketing
    banking boundary library dictionary category history factory memory theory laboratory
    territory battery artery secretary summary salary glossary anniversary student moment
    agent accident incident president client content component element experiment equipment
    event percent gradient exponent ingredient nutrient segment fragment parent continent
    document environment instrument government movement statement argument treatment plant
    elephant ant infant restaurant merchant tenant participant reactant consultant catalyst
    coolant pollutant mutant servant giant cable table variable vegetable syllable bible mass
    gas glass grass class bus virus nucleus radius focus status campus census bonus axis basis
    analysis synthesis hypothesis photosynthesis mitosis meiosis osmosis genesis thesis
    physics beings plastics offspring algae bacteria data mitochondria time mars mathematics
    electronics genetics statistics dynamics mechanics thermodynamics optics species mammal
    nonmetal capillary ovary radical human half kind life series lens news process
    """
)
"""Nouns whose ending says another class."""
