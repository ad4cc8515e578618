"""English: what asks, denies, relates and says nothing, and what are other words for the same."""

from __future__ import annotations

from collections.abc import Sequence

from assistant.services.wording_english_words import (
    ADJECTIVES,
    IRREGULAR,
    LOOKALIKES,
    MISSPELT,
    VERBS,
    VOCABULARY,
    american,
    base_form,
)
from assistant.services.wording_language import (
    Language,
    Tense,
    meanings,
    opposites,
    word_set,
    words_for,
)
from assistant.services.wording_meaning import Guard, Meaning
from assistant.services.wording_phrases import read_phrases
from assistant.services.wording_text import BREAKS

_TELLTALES = word_set(
    """
    the is are what how do does did of to and for with from which who why when where can could
    should would will my your this that there it its be been was were have has if or not by about
    i you we they at explain describe please give write tell name list show what's how's don't isn't can't
    """
)

_CONTRACTIONS = {
    word: tuple(line.split()[1:])
    for line in """
    can't can not
    cannot can not
    cant can not
    won't will not
    wont will not
    shan't shall not
    ain't is not
    dont do not
    doesnt does not
    didnt did not
    isnt is not
    arent are not
    shouldnt should not
    wouldnt would not
    couldnt could not
    i'm i am
    im i am
    i've i have
    i'd i would
    i'll i will
    you're you are
    you've you have
    you'd you would
    you'll you will
    we're we are
    we've we have
    we'd we would
    we'll we will
    they're they are
    they've they have
    they'd they would
    they'll they will
    it'll it will
    it'd it would
    let's let us
    what're what are
    who're who are
    how'd how did
    where'd where did
    gonna going to
    wanna want to
    gotta must
    lemme let me
    gimme give me
    thx thanks
    pls please
    plz please
    okay ok
    u.s usa
    u.k uk
    oclock o'clock
    """.splitlines()
    for word in line.split()[:1]
} | {
    f"{verb}n't": (verb, "not")
    for verb in "do does did is are was were has have had should would could must need might".split()
} | {
    f"{word}'s": (word, "is")
    for word in "what who how where when why that there here it he she this everything".split()
}  # fmt: skip

_EMPTY = word_set(
    """
    a an the there please kindly actually really exactly basically simply properly anyway
    um uh hmm erm o'clock 's
    """
)
_FILLERS = word_set(
    "actually really exactly basically simply properly anyway anyways please kindly"
)
_AUXILIARIES = word_set("is are am was were be been being do does did")

_MEANINGS = {
    **meanings(
        Guard.NEGATION,
        """
        not
        never
        neither
        nor
        no
        none
        nobody
        nothing
        nowhere
        without
        non
        lack lacks lacking lacked
        hardly barely scarcely
        seldom rarely
        """,
    ),
    **meanings(
        Guard.QUESTION,
        """
        what which whats
        who whom
        whose
        when
        where
        why
        how
        whether
        """,
    ),
    **meanings(
        Guard.SCOPE,
        """
        all
        every each
        any
        anyone anybody
        anything
        some
        someone somebody
        something
        only solely
        most mostly
        least
        more
        less fewer
        many
        much
        few
        best
        worst
        better
        worse
        first
        last
        next
        both
        half
        whole entire
        part partly
        several
        other another
        else
        same
        always
        often frequently
        sometimes occasionally
        usually normally generally typically
        also
        even
        still
        again
        already
        yet
        too
        very extremely
        enough sufficient
        almost nearly
        exclusively
        top
        bottom
        single
        once
        twice
        just
        main
        per
        ever
        """,
    ),
    **meanings(
        Guard.MODALITY,
        """
        can could
        may might
        must
        should ought
        shall
        """,
    ),
    **meanings(
        Guard.PERSON,
        """
        i
        me
        my
        mine
        you
        your yours
        we
        us
        our ours
        he
        him
        his
        she
        her hers
        it
        its
        they
        them
        their theirs
        myself
        yourself
        himself
        herself
        itself
        """,
    ),
    **meanings(
        Guard.RELATION,
        """
        of
        in inside
        on
        at
        to into
        onto
        toward
        from
        for
        with using
        by
        after
        before
        during
        while
        until till
        since
        between
        among
        against
        about regarding concerning
        under beneath
        below
        over
        above
        through via
        across
        near
        behind
        beside
        outside
        out
        off
        up
        down
        around
        along
        than
        as
        like
        and
        or
        but
        if
        because
        unless
        although though
        except
        instead
        versus vs
        that
        within
        despite
        throughout
        upon
        """,
    ),
    **meanings(
        Guard.TIME,
        """
        today
        tomorrow
        yesterday
        tonight
        now nowadays
        ago
        later
        earlier
        soon
        monday mondays
        tuesday tuesdays
        wednesday wednesdays
        thursday thursdays
        friday fridays
        saturday saturdays
        sunday sundays
        january jan
        february feb
        march
        april
        may~
        june
        july
        august
        september sept
        october oct
        november nov
        december dec
        spring
        summer
        autumn
        winter
        morning mornings
        noon midday
        afternoon afternoons
        evening evenings
        night nights
        midnight
        day days
        week weeks
        weekend weekends
        weekday weekdays
        month months
        quarter quarters
        year years
        decade decades
        century centuries
        hour hours
        minute minutes
        am
        pm
        bc bce
        ad ce
        daily
        weekly
        monthly
        yearly annually annual
        """,
    ),
    **meanings(
        Guard.NUMBER,
        """
        percent
        dollar dollars
        euro euros eur
        pound pounds
        yen
        cent cents
        usd
        gbp
        kilometer kilometers km kms
        meter meters
        centimeter centimeters cm
        millimeter millimeters mm
        mile miles mi
        foot feet ft
        inch inches
        yard yards
        kilogram kilograms kg kgs kilo kilos
        gram grams
        milligram milligrams mg
        lb lbs
        ounce ounces oz
        ton tons
        tonne tonnes
        liter liters
        milliliter milliliters ml
        gallon gallons
        cup cups
        tablespoon tablespoons tbsp
        teaspoon teaspoons tsp
        degree degrees
        celsius
        fahrenheit
        kelvin
        seconds sec secs
        kb kilobyte kilobytes
        mb megabyte megabytes
        gb gigabyte gigabytes
        tb terabyte terabytes
        byte bytes
        bit bits
        dozen dozens
        mph
        km/h kmh kph
        """,
    ),
}  # fmt: skip
_MEANINGS = {word: meaning for word, meaning in _MEANINGS.items() if not word.endswith("~")}
_MEANINGS["a-"] = Meaning("a", Guard.NAME)  # an apple is not Apple
_MEANINGS["be"] = Meaning("be", Guard.WORD_ORDER)  # done to it, not by it
_MEANINGS["one"] = Meaning("1", Guard.NUMBER)

_MOVERS = word_set(
    """
    in on at to from for with by after before during while until since against about under below over
    above through without when where if because unless
    """
)

_NUMBERS = {
    word: int(line.split()[0])
    for line in """
    0 zero
    1 one
    2 two
    3 three
    4 four
    5 five
    6 six
    7 seven
    8 eight
    9 nine
    10 ten
    11 eleven
    12 twelve
    13 thirteen
    14 fourteen
    15 fifteen
    16 sixteen
    17 seventeen
    18 eighteen
    19 nineteen
    20 twenty
    30 thirty
    40 forty fourty
    50 fifty
    60 sixty
    70 seventy
    80 eighty
    90 ninety
    100 hundred
    1000 thousand k
    1000000 million mio
    1000000000 billion bn
    """.splitlines()
    for word in line.split()[1:]
}

_ORDINALS = words_for(
    """
    2nd second
    3rd third
    4th fourth
    5th fifth
    6th sixth
    7th seventh
    8th eighth
    9th ninth
    10th tenth
    11th eleventh
    12th twelfth
    19th nineteenth
    20th twentieth
    21st twenty-first
    first 1st
    """
)

_MONTHS = {
    month: month
    for month in "january february march april june july august september october november december".split()
} | {"may": "may"}

_STARTS = """
^ hi|hello|hey|hiya (there|all|everyone|team) ,|.|! =>
^ hi|hello|hey (there) how => how
^ hi|hello|hey (there) what => what
^ hi|hello|hey (there) which => which
^ hi|hello|hey (there) who => who
^ hi|hello|hey (there) when => when
^ hi|hello|hey (there) where => where
^ hi|hello|hey (there) why => why
^ hi|hello|hey (there) can => can
^ hi|hello|hey (there) could => could
^ hi|hello|hey (there) is => is
^ hi|hello|hey (there) do => do
^ hi|hello|hey (there) does => does
^ good morning|afternoon|evening|day (all|everyone|team) ,|.|! =>
^ greetings ,|.|! =>
^ dear * , =>
^ um|uh|hmm|erm|ok|okay|well|right|so|also|and|oh|yes|sure|now ,|. =>
^ um|uh|hmm|erm|ok|okay|well|right|so so =>
^ um|uh|hmm|erm =>
^ okay|ok so (,) =>
^ so how => how
^ so what => what
^ so why => why
^ so when => when
^ so where => where
^ so who => who
^ so which => which
^ so is => is
^ so can => can
^ so do => do
^ so does => does
^ basically|actually|really|honestly|anyway|anyways (,) =>
^ just|im|i (am) (just) curious|wondering (,|:) =>
^ just out of curiosity ,|: =>
^ out of curiosity ,|: =>
^ just wondering (,|:) =>
^ sorry|apologies (for) (bothering) (you) (,|.|:) =>
^ excuse me (,|.) =>
^ one|a more|last|quick|other thing|question (,|:|.) =>
^ quick|short|simple|dumb|silly question ,|:|. =>
^ question ,|: =>
^ i have a (quick|short|simple) question (for) (you) (,|:|.) =>
^ maybe|perhaps a|you (quick|silly|dumb) question ,|: =>
^ please|kindly (,) =>
^ thanks|thank (you) in advance (,|:|.|!) =>
^ thanks|thank|thx|cheers (you) (so|very|a) (much|lot) ,|:|.|!|$ =>
^ many|kind thanks|regards ,|:|.|!|$ =>
^ i hope you can|are * $ =>
^ can|could|would|will you (please|kindly|maybe|possibly) tell|explain|describe|give|write|translate|summarize|list|provide|create|generate|make|suggest|recommend|convert|calculate|compute|find|name|compare|rewrite|fix|check|draft|define|outline|walk|teach|propose|rename|sort|count|show|add|remove|delete|print|help|let => @4
^ i would|should like|love you to =>
^ i want|need you to =>
^ i would|should like|love|need|want to know|learn|understand|see|hear|find (out) if|whether => whether
^ i would|should like|love|need|want to know|learn|understand|see|hear|find (out) how|what|which|when|where|why|who => @7
^ i would|should like|love|need|want to know|learn (more) about => what is
^ i would|should like|love|need|want to know the => what is the
^ i want|need|wish|am (trying) to know|learn|understand|see|find (out) if|whether => whether
^ i want|need|wish|am (trying) to know|learn|understand|see|find (out) how|what|which|when|where|why|who => @7
^ i want|need|wish to know|learn (more) about => what is
^ i want|need|wish to know the => what is the
^ i was|am (just) wondering|curious if|whether you could|can (please) tell me =>
^ i was|am (just) wondering|curious if|whether => whether
^ i was|am (just) wondering|curious (about) (,|:) =>
^ i wonder|wondered if|whether => whether
^ i wonder|wondered (,) =>
^ do|would you (happen) (to) know if|whether => whether
^ do|would you (happen) (to) know the => what is the
^ do|would you (happen) (to) know what|which|how|when|where|why|who => @6
^ do|would you know what|which|how|when|where|why|who => @4
^ any idea|ideas (of|on|about) =>
^ does|do anyone|anybody know if|whether => whether
^ does|do anyone|anybody know =>
^ let me|us know if|whether => whether
^ let me|us know =>
^ help me (to) (understand) =>
^ do you have (any) information (about|on) => what is
^ tell me|us if|whether => whether

^ how do|does|can|could|would i|you|we|one|someone|somebody|people|anyone go about => how
^ how do|can|could|would you _ $ => how you _
^ how do|can|could|would|will i|you|we|one|someone|somebody|people|anyone => how
^ how does|would|can|could one|someone|somebody|anyone => how
^ how to => how
^ what|where|when to => @1 should i
^ how is|would it (be) possible to => how
^ what is|are|would|are (be) the|a|some|any (right|correct|proper|good|usual|normal|recommended|easy|simple) way|ways|steps|procedure|process|method|methods|instructions|approach to|for|of => how
^ which|what (are) (the) steps (do|are) (i|we|you) (needed|required|necessary) (need|have|take|follow) (to) (take|do|follow) (in) (order) to => how
^ what do|can i|you|we (need|have) (to) do (in) (order) to => how
^ what does it take to => how
^ in what|which way|ways can|could|do i|you|we|one => how
^ by what means can|could|do i|you|we|one => how
^ (show|teach|tell|explain|give) me|us how (i|you|we|one) (can|could|do|to) => how
^ explain|describe|demonstrate|show (to) (me|us) how to => how
^ explain|describe|demonstrate|show (to) (me|us) how i|you|we|one (can|could) => how
^ explain|describe|show|demonstrate|name|suggest|list|say (to) (me|us) how|why|when|where|who|what|which => @4
^ instructions|steps|guide|guidance|directions|tutorial (on|for) how to => how
^ tell|show|explain|teach (to) me|us how|why|when|where|who|what|which|whether => @4
^ tell me|us (about) => what is

^ describe a|an => describe a
^ explain|describe|clarify (to) (me|us) the difference|differences => what is the @5
^ explain|describe|define|clarify|elaborate (on) (the) (concept|term|idea|notion|meaning) (of) => what is
^ give (me|us) a|an|the (brief|short) (definition|explanation|description|overview|meaning) of => what is
^ give|tell|show|list|name|state|enumerate|provide (me|us|with) the => what is the
^ give|tell|show|list|name|state|provide me|us the => what is the
^ give|tell|show|list|name|provide|suggest (me|us|with) # => what #
^ give|list|name|provide|tell (me|us) some => what
^ name|list * that|who|which are => what *
^ calculate|compute|evaluate # => what is #
^ what can|could you tell me|us about => what is
^ what do you know about => what is
^ what do you mean by => what is
^ what is meant by => what is
^ what is|are the (exact|precise|full|correct) (meaning|definition|explanation|description) (of|for) (the) (term|word|concept) => what is
^ what is|are (the) (concept|idea|notion) of => what is
^ what is a|an apple|python|java|rust|ruby|oracle|amazon|target|shell|gap|orange|turkey|mustang|jaguar|puma|swift|dart|spark|spring|flask|node|react|slack|zoom|discord|notion|word|window|mercury|caterpillar|subway|tesla|galaxy|mint|fedora|pearl|basic|safari|edge|stripe|square|cloud|kindle|visa|meta|alphabet|virgin|go|c|r $ => what is a- @4
^ what does|do the|a|an term|word|abbreviation|acronym * mean|signify|mean|denote (exactly) $ => what is *
^ what does|do * mean|signify|denote (exactly|actually|really) $ => what is *
^ what does|do * mean|signify in|for => what is * in
^ what does|do * stand for => what is *
^ (the) (meaning|definition) of => what is
^ how much is|are # => what is #
^ what (is|are) (the) (result|value|answer|outcome) of => what is
^ which|what person|people => who
^ by whom was|were * discovered|invented|written|founded|created|painted|composed|designed|built $ => who @5 *
^ who is|was the (original) author|writer of => who wrote
^ who is|was the (original) inventor of => who invented
^ who is|was the (original) founder|founders of => who founded
^ who is|was the (original) discoverer of => who discovered
^ who is|was the (original) creator of => who created
^ who is|was the (original) director of => who directed
^ who is|was the (original) painter of => who painted
^ who is|was the (original) composer of => who composed
^ who was|were awarded => who won
^ who got|received|obtained the => who won the
^ what|which person => who
^ at|on|by what|which time|hour|moment => when
^ what time|hour do|does|did|will|is|are|can|should the|a|my|our|your|it|we|i|you => when @3 @4
^ on what|which date|day => when
^ what date|day do|does|did|will|is|are|was|were the|a|my|our => when @3 @4
^ when exactly => when
^ what is the (exact) date of => when is
^ in what|which year => what year
^ in|at|on what|which place|location|spot => where
^ what are the differences => what is the differences
^ what is|are the (exact) location|locations of => where is
^ where exactly => where
^ what is|are the (main) reason|reasons (for|that|why|behind|of) => why
^ for what|which reason|reasons => why
^ how come => why
^ why exactly => why
^ how many people|inhabitants|residents|persons live|reside|are|do in => what is the population of
^ how many inhabitants|residents|people does|do * have $ => what is the population of *
^ how populous|populated is => what is the population of
^ how old is|are => what is the age of
^ how tall|high is|are => what is the height of
^ how deep is|are => what is the depth of
^ how wide|broad is|are => what is the width of
^ how heavy is|are => what is the weight of
^ how big|large is|are => what is the size of
^ how fast is|are => what is the speed of
^ how expensive|costly is|are => what is the price of
^ how much do|does * cost $ => what is the price of *
^ how much do|does * cost => what is the price of *
^ what do|does * cost => what is the price of *
^ how much is|are => what is the price of
^ how much do|does * weigh $ => what is the weight of *
^ what is|are (the) cost|costs of|for => what is the price of
^ (the) cost|costs|price of => what is the price of
^ how far (away) is|are * from => what is the distance of * from
^ how far (away) is|are * $ => what is the distance to *
^ how far is it from|to => what is the distance @5
^ what is the number of => how many
^ which number of => how many
^ what number of => how many
^ how often => how often
^ what is|are the frequency of => how often
^ how long does|do|will|would it take (me|you|us|one) (to) => how long to
^ how much time does|do|will|would it take|need (me|you|us|one) (to) => how long to
^ how much time does|do|is|can => how long @4
^ for how long => how long
^ what is the duration of => how long is
^ which|what city is the capital => what is the capital
^ what is|are the capital city => what is the capital
^ how do|would|can you|i|we|one say * in => translate * to
"""

_ANYWHERE = """
is|am|are * allowed|permitted to => can *
is it allowed|permitted|ok|alright|fine|acceptable (for) (me|us|you|one) to => can i
is it ok|alright|fine if i => can i
would it be => is it
is * required|needed|necessary to => do i need * to
how long do|does * have to => how long @3 * have to
how many|much _ do|does * have to => how @2 @3 @4 * have to
do|does|did * have to => @1 * need to
have|has|needs to => need to
must i|you|we|one => do @2 need to
should|could|would|can|do|does|did|is|are|am|was|were|must|will|have|has|may|might not i|you|we|he|she|it|they => @1 @3 not
what will happen => what happens
how is|are|am|was|were|do|does|did|has|have|can|will|would|should|many|much|long|often my => how @2 my
how _ my => how @2
am|are i|we|you required|obliged to => do @2 need to
is|are|am required|obliged to => need to
travel|travels|traveling to => visit
weather|climate|economy like in => @1 of
weather|climate|economy of * like => @1 of *
weather|climate like => @1
weather|climate|population|temperature|president|government in => @1 of
using|with|in c|c++|c#|f#|r|go|python|java|javascript|typescript|rust|ruby|kotlin|swift|perl|php|scala|haskell|lua|dart|elixir|matlab|julia|bash|powershell|sql|excel|pandas|numpy|django|flask|react|node|git|docker|kubernetes|latex|css|html => in @2
using => with
what currency is|are used in => what currency does use
what|which currency does|do * use => what currency does use *
what|which currency do (they|people) use in => what currency does use
what|which language|languages is|are spoken in => what language does speak
what|which language|languages do|does (they|people) speak in => what language does speak
what|which language|languages do|does * speak $ => what language does speak *
side effects|effect does|do|can * have|cause $ => side effects of *
in order to => to
so as to => to
with the help of => with
by means of => with
making use of => with
by using => with
in place of => instead of
rather than => instead of
as well as => and
due|owing|thanks to => because
because of => because
on account of => because
as a result of => because
prior to => before
subsequent to => after
with regard|respect to => about
in terms of => about
with|in reference to => about
in case => if
provided|assuming that => if
every time => when
whenever => when
as long as => if
at the moment => now
right now => now
these days => now
at present => now
currently|presently => now
please $ =>
, please|thanks|thx|exactly|really|anyway|right|actually $ =>
, thank you (so|very) (much) (in) (advance) $ =>
, thanks (so|very|a) (much|lot) (in) (advance) $ =>
exactly|really|anyway|anyways|though $ =>
make|cook|buy|need|bake|get some => @1
is there to => to
is kind of => is
per cent => percent
united states (of) (america) => usa
america's => usa 's
us dollar|dollars => usd
american dollar|dollars => usd
united kingdom => uk
great britain => uk
new york city => nyc
european union => eu
artificial intelligence => ai
machine learning => ml-
cell|mobile phone|phones|telephone|telephones => cellphone
log|sign in|on|into => login
log|sign out|off => logout
sign|signs|signed|signing up => register
set|sets|setting up => setup
turn|turns|turned|turning|switch|switches|switched|switching on => enable
turn|turns|turned|turning|switch|switches|switched|switching|shut|shuts off => disable
turn|turns|switch|switches * on $ => enable *
turn|turns|switch|switches * off $ => disable *
get|gets|getting rid of => remove
throw|throws|throwing away|out => discard
dispose|disposes|disposing of => discard
find|finds out => discover
find|finds their|its|his|her way => navigate
look|looks|looking for => search
take|takes place => happen
give|gives|giving up => quit
put|puts|putting off => postpone
call|calls|calling off => cancel
go|goes|going back => return
get|gets|getting back => return
send|sends|sending back => return
send|sent|give|hand in => submit
fill|fills in|out => fill
carry|carries out => perform
make|makes sure => ensure
warm|warms|warming|heat|heats|heating up => reheat
least expensive => cheapest
most cheap => cheapest
most inexpensive => cheapest
a lot of => many
lots of => many
plenty of => many
a few => several
a number of => several
kind|sort|type of a|the => the
kind of the => the
plugged in => plugged
number of inhabitants|residents|people => population
numbers of inhabitants|residents => population
adverse effect|effects|reaction|reactions => side effects
property owner|owners => landlord
function|script|program|method|query|code|regex|command|class|loop|routine|procedure|app|tool that|which => @1 to
light bulb|bulbs => lightbulb
that|who|which are => that
one another => each-other
each other => each-other
no one => nobody
all of => all
each|every one of => every
most of => most
some of => some~
any of => any
none of => none
web site|sites|page => website
e mail|mails => email
wi fi => wifi
"""

_SYNONYMS = words_for(
    """
    buy purchase
    begin start commence
    finish end
    fix repair mend
    solve resolve
    delete remove erase
    create make
    photo photograph picture image
    movie film
    child kid
    doctor physician
    big large
    small little
    fast quick rapid quickly rapidly
    slow slowly
    safe safely
    help assist
    get obtain acquire
    choose pick select
    show display
    close shut
    job occupation
    disease illness sickness
    ill sick
    cheap inexpensive
    expensive costly pricey
    package parcel
    car automobile
    phone telephone
    cellphone smartphone
    folder directory
    app application
    repo repository
    db database
    js javascript
    ts typescript
    postgres postgresql
    k8s kubernetes
    info information
    docs documentation
    config configuration
    ad advertisement advert
    usa u.s.a
    tv television
    mother mom mommy mum mummy
    father dad daddy
    grandmother grandma
    grandfather grandpa
    happen occur
    need require
    use utilize
    try attempt
    reply respond
    speak talk
    live reside
    allow permit
    raise increase boost
    reduce decrease lessen
    improve enhance
    change modify alter
    join concatenate
    rich wealthy
    smart clever intelligent
    difficult hard tough
    easy simple
    dangerous risky hazardous
    wrong incorrect
    maximum max maximal
    minimum min minimal
    inhabitant resident
    country nation
    medicine medication
    bike bicycle
    airplane plane
    motorcycle motorbike
    fridge refrigerator
    trip journey
    lawyer attorney
    company firm
    flat apartment
    petrol gasoline
    truck lorry
    trash garbage rubbish
    baggage luggage
    quantity amount
    advantage benefit upside pro
    disadvantage drawback downside
    difference distinction
    effect impact
    calculate compute
    restart reboot
    enable activate
    disable deactivate
    sofa couch
    tap faucet
    rent hire
    employee worker
    postpone delay
    couple pair
    sum total
    wellbeing wellness
    error mistake
    yearly annual
    student pupil
    diaper nappy
    main primary chief
    vocation profession
    supervisor boss
    method technique
    register enroll
    nearest closest
    """
)

_OPPOSITES = opposites(
    """
    safe dangerous/unsafe/harmful
    open/opened close/closed/shut
    begin/start end/finish/stop
    raise/increase/gain/rise reduce/decrease/lower/cut/fall/drop/lose
    enable/start disable/stop/suspend
    add remove/delete/subtract/drop
    buy sell
    lend borrow
    best worst
    better worse
    good bad
    big small/tiny
    high low
    long short
    old new/young
    fast slow
    cheap expensive
    hot/warm cold/cool
    wet/moist dry
    hard/difficult easy/soft
    strong weak
    light heavy/dark
    rich poor
    early late
    first last/second
    next last/previous
    most least/fewest
    more less
    maximum minimum
    top bottom
    upper lower
    increase decline
    accept reject/decline/refuse
    approve reject/decline/deny
    allow/permit forbid/prohibit/ban/block/deny
    win lose
    show hide
    lock unlock
    mount unmount
    install uninstall/remove
    import export
    upload download
    upgrade downgrade
    encrypt decrypt
    encode decode
    compress extract/decompress
    connect disconnect
    login logout
    include exclude
    internal external
    inside outside
    in out
    on off
    up down
    over under
    above below
    before after
    ascending descending
    left right
    north south
    northern southern
    east west
    eastern western
    arrival departure
    arrive depart/leave
    entrance exit
    enter leave/exit
    hire fire/dismiss
    gain lose
    tighten loosen
    thicken thin
    thick thin
    wide narrow
    deep shallow
    freeze melt/thaw/defrost
    heat cool
    positive negative
    positively negatively
    advantage disadvantage
    pro con
    cause/causes prevent/cure
    cause effect
    push pull
    read write
    save discard/delete
    remember forget
    love hate
    alive dead
    full empty
    true false
    right wrong
    correct incorrect/wrong
    legal illegal
    public private
    married single/divorced
    male female
    man woman
    boy girl
    father mother
    brother sister
    husband wife
    king queen
    employer employee
    buyer seller
    creditor debtor
    landlord tenant
    teacher student
    parent child
    outgoing incoming/return
    exothermic endothermic
    hypertension hypotension
    hyperthyroidism hypothyroidism
    credit debit
    profit loss
    asset liability
    supply demand
    attack defend
    continue stop
    mute unmute
    subscribe unsubscribe
    follow unfollow
    merge split
    create/build destroy/delete
    always never/sometimes
    with without
    all none/some
    every no/some
    can must
    may must
    should must
    ripe unripe
    raw cooked
    fresh stale/frozen
    single double/multiple
    simple complex
    major minor
    maximize minimize
    sunrise sunset
    day night
    summer winter
    spring autumn
    today tomorrow/yesterday
    """
)

_VERBATIM = word_set(
    """
    translate translation translated translating spell spelled spelt spelling pronounce pronounced
    pronunciation synonym synonyms antonym antonyms opposite rhyme rhymes rhyming plural singular
    tense conjugate conjugation word words phrase sentence grammar rewrite rephrase paraphrase
    proofread reword uppercase lowercase capitalize syllable syllables vowel vowels keyword operator
    idiom proverb preposition adjective adverb verb noun pronoun article difference differ
    say says saying versus vs letter letters
    """
)

_SUBJECTS = word_set("i you we they he she it one people")
_MODALS = word_set("can could may might must should shall will would")
_ASKERS = word_set("what which who whom whose when where why how")
_PARTICIPLES = frozenset(
    form for form in IRREGULAR if form.endswith(("n", "t", "d", "g", "k", "m"))
)
_UNMARKED = word_set("hit hurt cut shut beat put set read cost let bet quit spread cast split")


def prepare(words: list[str]) -> list[str]:
    """ "london 's weather" is the "weather of london"; what only fills the sentence is gone."""
    words = _ask_first([word for word in words if word not in _FILLERS] or words)
    if "'s" not in words:
        return words
    said: list[str] = []
    at = 0
    while at < len(words):
        owned = at + 1
        while owned < len(words) and owned <= at + 3 and _is_content(words[owned]):
            owned += 1
        if words[at] == "'s" and said and owned > at + 1 and _is_content(said[-1]):
            owner = said.pop()
            said += [*words[at + 1 : owned], "of", owner]
            at = owned
        else:
            said.append(words[at])
            at += 1
    return said


def _is_content(word: str) -> bool:
    return (
        word[0].isalpha()
        and word not in _MEANINGS
        and word not in _EMPTY
        and word not in (_AUXILIARIES | _MODALS)
    )


def tense(words: Sequence[str]) -> Tense | None:
    """The tense of the first auxiliary; without one, that of the verb after who or what."""
    for word in words:
        if word in _TENSES:
            return _TENSES[word]
    for word in words[1:3]:
        if (
            words[0] in _ASKERS
            and word not in VOCABULARY
            and ((word in IRREGULAR and IRREGULAR[word] in VERBS) or (word.endswith("ed")))
        ):
            return Tense.PAST
    return None


_TENSES = {
    "was": Tense.PAST, "were": Tense.PAST, "did": Tense.PAST, "had": Tense.PAST,
    "will": Tense.FUTURE, "is": None, "are": None, "am": None, "do": None, "does": None,
}  # fmt: skip


def _ask_first(words: list[str]) -> list[str]:
    """ "reset my pin how" asks as "how reset my pin" does."""
    last = len(words)
    while last and words[last - 1] in BREAKS:
        last -= 1
    if last > 1 and words[last - 1] in ("how", "where", "when", "why") and words[0] not in _ASKERS:
        stop = last - 2 if words[last - 2] == "," else last - 1
        return [words[last - 1], *words[:stop], *words[last:]]
    return words


def arrange(words: list[str]) -> list[str]:
    """The words without auxiliaries; passives are marked, yes or no is asked with "whether"."""
    said: list[str] = []
    starts, asked, helped, passive_until = True, False, False, -1
    for at, word in enumerate(words):
        following = words[at + 1] if at + 1 < len(words) else "."
        if word in BREAKS:
            starts, asked, helped = True, False, False
            said.append(word)
            continue
        if word in _ASKERS:
            asked = True
        elif starts and (word in _AUXILIARIES or word in _MODALS) and following != "not":
            if following not in BREAKS and word not in ("be", "been", "being"):
                said.append("whether")
                asked = True
        elif starts and word in _AUXILIARIES and following == "not" and word != "do":
            said.append("whether")
            asked = True
        starts = False
        if word in ("is", "are", "am", "was", "were", "be", "been", "being"):
            passive_until = at + 6
        elif word in ("do", "does", "did"):
            previous = said[-1] if said else ""
            is_main = (
                following in BREAKS
                or helped
                or (previous in _SUBJECTS and asked)
                or previous in ("to", "should", "can", "could", "must", "would", "will", "may")
                or (_is_relation(following) and not following == "not")
            )
            if is_main:
                said.append("do")
            helped = True
        elif word in ("will", "would"):
            pass
        elif word == "it" and said and words[at - 1] in _AUXILIARIES:
            pass
        else:
            if at <= passive_until and _is_participle(word):
                if at and words[at - 1] != "have":
                    said.append("be")
                passive_until = -1
            said.append(word)
    return said


def _is_relation(word: str) -> bool:
    meaning = _MEANINGS.get(word)
    return meaning is not None and meaning.guard is Guard.RELATION


def _is_participle(word: str) -> bool:
    if word in _UNMARKED or word in _PARTICIPLES:
        return True
    return word.endswith("ed") and len(word) > 4 and base_form(word) in VERBS


def english_base(word: str) -> str:
    """The base form; comparatives and superlatives stay what they are, in one spelling."""
    base = base_form(american(word))
    if base.endswith(("er", "est")) and base not in VOCABULARY:
        ending = "est" if base.endswith("est") else "er"
        stem = base.removesuffix(ending)
        for simple in (stem, stem + "e", stem[:-1] + "y" if stem.endswith("i") else stem,
                       stem[:-1] if len(stem) > 2 and stem[-1] == stem[-2] else stem):  # fmt: skip
            if simple in ADJECTIVES:
                return f"{_SYNONYMS.get(simple, simple)}+{ending}"
    return base


_STARTING, _EVERYWHERE = read_phrases(_STARTS, _ANYWHERE)

ENGLISH = Language(
    code="en",
    telltales=_TELLTALES,
    expansions=_CONTRACTIONS,
    starts=_STARTING,
    anywhere=_EVERYWHERE,
    verbatim=_VERBATIM,
    empty=_EMPTY,
    meanings=_MEANINGS,
    movers=_MOVERS,
    places=word_set("in on at"),
    conditional=word_set("when where"),
    asking=_ASKERS | _AUXILIARIES | _MODALS,
    numbers=_NUMBERS,
    months=_MONTHS,
    ordinals=_ORDINALS,
    prepare=prepare,
    tense=tense,
    synonyms=_SYNONYMS,
    opposites=_OPPOSITES,
    known=VOCABULARY,
    lookalikes=LOOKALIKES,
    misspelt=MISSPELT,
    base_form=english_base,
    arrange=arrange,
)  # fmt: skip
