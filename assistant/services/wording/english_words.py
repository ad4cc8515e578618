"""English words in their base form.

A word that is not here is taken as it is: it has fewer ways to be written, nothing else. The more
words are here, the more slips of the pen are seen as such, and the fewer are seen in real words.
"""

from __future__ import annotations

from assistant.services.wording.text import word_set

VERBS = word_set(
    """
    abandon absorb accept access accompany achieve acquire act adapt add adjust admit adopt advise
    affect afford age agree allow alter amend analyze announce annoy answer apologize appeal appear
    apply appoint appreciate approach approve argue arrange arrest arrive ask assemble assess
    assign assist assume assure attach attack attempt attend attract audit authorize automate
    avoid award back bake balance ban base bathe beat become beg begin behave believe belong bend
    benefit bet bill bind bite blanch blame bleed blend bless block blow board boil book boost border
    borrow bother bounce break breathe breed bring broadcast browse brush build burn bury buy
    cache calculate call calm cancel care carry cast catch cause celebrate change charge chase
    chat cheat check cherish chew choose chop claim clarify clean clear click climb clone close
    collapse collect color combine come comfort command comment commit communicate commute compare
    compete compile complain complete compose compress compute concatenate concern conduct
    configure confirm conflict confuse connect conquer consider consist constrain consume contact
    contain continue contract contribute control convert convince cook cool copy correct cost
    cough count cover crash crawl create cross cry cure customize cut damage dance deal debug
    decide declare decline decode decorate decrease decrypt deduct defend define defrost delay
    delegate delete deliver demand deny depart depend deploy deposit derive descale describe
    deserve design destroy detach detect determine develop diagnose die differ dig digest dilute
    disable disagree disappear discard disconnect discover discuss dismiss display dispose dispute
    dissolve distinguish distribute dive divide divorce do donate double download draft drag drain
    draw dream dress drink drive drop drown dry dump earn ease eat edit educate elect eliminate
    embed emerge emit employ enable encode encourage encrypt end endorse enforce engage enhance
    enjoy enroll ensure enter entertain erase escape establish estimate evaluate evaporate evict
    evolve examine exceed exchange exclude execute exempt exercise exist expand expect expense
    experience expire explain explode explore export expose express extend extract face fail faint
    fall fasten fear feed feel ferment fetch fight file fill filter finance find finish fire fit
    fix flee float flow flush fly focus fold follow forbid force forecast forget forgive fork form
    format forward found freeze fry fulfill function fund gain garnish gather generate get give go
    govern grab graduate grant grate greet grill grind group grow guarantee guard guess guide
    handle hang happen harm harvest hate have heal hear heat help hide hire hit hold hope host hunt
    hurry hurt identify ignore illustrate imagine implement imply import impress improve include
    increase incur indicate infect influence inform inherit inhibit initialize inject injure
    innovate input insert inspect inspire install instruct insulate insure integrate intend
    interact interest interpret interview introduce invade invent invest investigate invite
    involve iron isolate iterate join joke judge jump justify keep kick kill kiss knead knit knock
    know label lack land last laugh launch lead leak lean learn lease leave lend let license lie
    lift like limit link list listen live load lock log look loosen lose love lower maintain make
    manage march marinate mark marry match matter mature mean measure melt memorize mention merge
    migrate mind mine minimize miss mix modify monitor motivate mount move multiply mute name
    navigate need negotiate nest notice notify obey object observe obtain occupy occur offend
    offer omit open operate oppose optimize order organize overcome override overwrite owe own
    pack package paint park parse participate pass paste pause pay peel perform permit persuade
    pick pitch place plan plant play plead please plug point poison polish post postpone pour
    practice praise predict prefer prepare prescribe present preserve press prevent print process
    produce profit program prohibit promise promote pronounce propagate protect prove provide prune
    publish pull pump punish purchase push put qualify query question queue quit quote race raise
    reach react read realize rebase rebuild recall receive recharge recognize recommend record
    recover recycle redeem redirect reduce refactor refer reflect refresh refund refuse register
    regret regulate reheat reject relate relax release rely remain remember remind remove rename
    renew rent repair repeat replace reply report represent request require rescue research
    reserve reset reside resign resist resolve respond rest restart restore restrict retire
    retrieve return reveal reverse revert review reward rewrite ride ring rinse rise roast rotate
    round route rub ruin rule run rush sack save say scale scan scare schedule scratch scream screw
    scroll seal search secure see seek seem select sell send separate serve set settle sew shake
    shape share sharpen shave shine ship shoot shop shorten shout show shrink shuffle shut sign
    simmer simplify simulate sing sink sit skip sleep slice slide slip slow smell smile smoke snore
    soak solve sort sound spawn speak specialize spell spend spill spin split spoil spread sprint
    squash squeeze stain stand start starve state stay steal steam stick stir stop store strain
    strengthen stretch strike string strip struggle study style submit subscribe substitute
    succeed sue suffer suggest suit summarize supply support suppose surprise survive suspect
    suspend swallow swap swear sweat sweep swell swim swing switch sync tackle take talk target
    taste tax teach tear tell tend terminate test thank thaw thicken thin think threaten throw
    tidy tie tighten time touch trace track trade train transfer transform translate transmit
    transport travel treat trigger trim trip trust try tune turn type unblock understand undo
    unfollow uninstall unlock unmount unmute unplug unsubscribe update upgrade upload urge use
    validate value vanish vary verify view violate visit vote wait wake walk wander want warm warn
    wash waste watch water wear weigh welcome whip win wipe wish withdraw work worry worsen wrap
    write yell yield
    """
)

ADJECTIVES = word_set(
    """
    able absolute abstract active actual acute additional adequate advanced afraid aggressive
    alcoholic alive allergic alone amazing anemic angry annual anxious apparent asleep attractive
    automatic available average aware awful bad basic beautiful big bitter black blind blue bold
    brave brief bright broad broken brown busy calm capable careful cautious cheap chemical chronic
    civil classic clean clear clever close cold comfortable common compatible complete complex
    confidential conscious consistent constant contagious continuous convenient cool correct costly
    crazy creative critical crucial curious current daily dangerous dark dead deaf dear decent
    deep default deficient delicate delicious dense dependent digital direct dirty distant double
    dry due dull dynamic eager early east eastern easy economic edible effective efficient
    elderly electric electronic eligible emotional empty entire equal essential eternal ethical
    exact excellent exempt expensive external extra extreme fair familiar famous far fast fat fatal
    federal female few fierce financial fine firm flat flexible foreign formal former fragile free
    frequent fresh friendly front frozen full fundamental funny future general generic gentle
    global gold good grateful gray great green guilty handsome happy hard harmful harmless healthy
    heavy high hollow holy honest hot huge human hungry ideal ill illegal immune important
    impossible independent indoor industrial inexpensive initial inner innocent instant internal
    international invisible joint junior key kind large late latest lazy leftover legal liable
    light likely liquid little local lonely long loose loud low lucky mad magnetic main major male
    mandatory manual married massive maximum mean medical medium mental mild minimum minor missing
    mobile modern moist monthly moral mortal multiple musical mutual narrow national native natural
    near nearby necessary negative nervous neutral new nice noisy normal north northern nuclear
    numeric obvious occasional odd official old online only optional oral orange ordinary organic
    original other outdoor outer overripe own painful pale parallel parental past perfect permanent
    personal physical pink plain pleasant polite poor popular portable positive possible potential
    powerful practical precious precise pregnant prepaid present pretty previous primary primitive
    prior private professional prompt proper proud public pure quick quiet random rapid rare raw
    real reasonable recent red refundable regular relative relevant reliable religious remote
    rental responsible rich right ripe risky robust rough round royal rude rural sad safe salty
    same sane scary secret secure senior sensitive separate serious severe shallow sharp short shy
    sick significant silent silver similar simple single slim slow small smart smooth social soft
    solar solid sore sour south southern spare special specific spicy square stable standard static
    steady steep sticky stiff straight strange strict strong stupid subtle successful sudden
    sufficient suitable sunny sure sweet swift tall tame temporary tender tense terrible thick
    thin thirsty tight tiny tired total tough toxic traditional transparent tricky tropical true
    typical ugly unhappy unique universal unpaid unsafe upset urban urgent useful useless usual
    valid valuable various vast vegan vegetarian verbal vertical violent viral virtual visible
    vital voluntary vulnerable warm waterproof weak wealthy weekly weird west western wet white whole
    wicked wide wild wise wireless wooden worth wrong yearly yellow young
    """
)

NOUNS = word_set(
    """
    ability absence bleach dryer cleaner cooler warmer lighter accent acceptance accident accommodation accordance account accountant accuracy
    acid action activity actor actress ad adapter address administrator admission adult advance
    advantage adventure advertisement advice affair age agency agenda agent agreement aid air
    aircraft airline airport alarm album alcohol algorithm alien alley allergy alliance allowance
    alloy almond alphabet alternative altitude aluminum ambassador ambulance amount analysis analyst
    ancestor anchor anemia angel anger angle animal ankle anniversary annotation ant antibiotic
    antibody antivirus ape apartment api appeal appendix apple appliance applicant application
    appointment approval apricot april architect architecture area arena argument arm armor army
    array arrival arrow art artery arthritis article artist ash aspect asset assignment assistance
    assistant associate association asthma athlete atmosphere atom attachment attendance attention
    attic attitude attorney attribute auction audience author authority autumn avenue avocado
    baby backpack backup bacon bacteria bag baggage bakery balcony ball balloon ballot bamboo banana
    band bandage bank bankruptcy banner bar bargain bark barn barrel barrier baseball basement basil
    basin basis basket basketball bat bath bathroom battery battle beach beam bean bear beard beauty
    bed bedroom bee beef beer beetle beginner behavior being belief bell belly belt bench berry beta
    beverage bicycle bike bin biology bird birth birthday biscuit bit blade blanket blender blind
    blood blouse blueprint boat body boiler bolt bomb bond bone bonus boot border boss bottle bottom
    boundary bow bowl box boy brain brake branch brand bread breakfast breast breath breeze brewery
    brick bride bridge broccoli broker brother browser brush bubble bucket budget buffer bug
    building bulb bullet bullying bumper bundle burden bus bush business butcher butter butterfly
    button buyer byte cabbage cabin cabinet cable cactus cafe cage cake calcium calendar calf calorie
    camel camera camp campaign canal cancer candidate candle candy canvas capacity cape capital
    captain car carbon card cardboard career cargo carpenter carpet carriage carrier carrot cart
    cartoon case cash casserole castle casual cat catalog category cathedral cattle causal
    cauliflower causality cavalry cave ceiling cell cellar cement census center century ceremony
    certificate chain chair champagne champion chance channel chapel chapter character charger
    charity chart checkout cheese chef chemist chemistry cheque cherry chess chest chicken chickenpox
    chief child childhood chimney chin chip chocolate cholesterol choice church cigarette cinema
    cinnamon circle circuit circumstance citizen citizenship city clash class classroom clause clay
    client cliff climate clinic clock closet closure cloth clothes cloud club clue cluster coach
    coal coast coat coconut code coffee coin collar colleague collection college colony column
    coma comb comedy comma commander commerce commission committee commodity community company
    comparison compartment competence competition competitor complaint complement complexity
    compliance complication compliment component compound compression comprehension compromise
    computer concentration concept concert conclusion concrete condition conference confidence
    configuration congress conjunction connection conscience consent consequence conservation
    consideration constitution constraint construction constructor consultant consumer container
    contamination content contest context continent contraceptive contractor contrast conversation
    conversion cookie copper copyright core cork corn corner cornstarch corporation correction
    correlation corridor corruption cosine costume cotton couch council counsel counter country
    county couple coupon courage courier course court courtyard cousin coverage cow crack craft cream
    creation creature credential credit creditor creed crew crime criminal crisis criteria critic
    criticism crocodile crop crowd crown cruise crystal cube cucumber culture cup cupboard curb
    currency curriculum curry cursor curtain curve cushion custom customer cycle cylinder dairy
    danger data database date daughter dawn day deadline deadlock dealer death debate debt debtor
    decade decimal decision deck decorator deduction deer defect defense deficit definition degree
    dehydration delivery democracy demonstration density dentist department departure dependency
    depression depth deputy descent desert designer desk dessert destination detail detective
    detector detergent developer development device diabetes diabetic diagnosis diagram dialog
    dialect dialogue diamond diaper diarrhea diary dictionary diesel diet difference difficulty
    digestion digit dimension diner dinner dinosaur dioxide diploma diplomat direction director
    directory disability disadvantage disaster discipline discount discovery discrimination
    discussion disease dish dishwasher disk dismissal disorder distance distinction district
    disturbance diversity dividend division dizziness doctor document documentation dog doll dollar
    dolphin domain donkey donor door dose dosage dough downtime dozen dragon drama drawer
    dress drill driver drought drug drum duck duplicate duration dust duty dwarf ear earphone earth
    earthquake east echo eclipse ecology economics economist economy edge edition editor education
    eel effect efficiency effort egg elbow electricity electron element elephant elevator email
    embassy embryo emergency emission emotion emperor emphasis empire employee employer employment
    encryption endpoint enemy energy engine engineer engineering entity entrance entropy entry
    envelope environment envy enzyme epidemic episode equation equator equipment era error escalator
    essay essence estate ethics evening event evidence evolution exam example exception excess
    excuse executive exhibition existence exit expansion expedition expenditure expert explanation
    explosion exposure expression extension extent extinction eye eyebrow eyesight fabric facility
    fact factor factory faculty failure faith fame family fan fantasy farm farmer fashion fat fate
    father faucet fault favor fear feather feature fee feedback fellow female fence ferry fertilizer
    festival fever fiber fiction field fiend figure film finger fingerprint fireplace
    firewall firm firmware fish fitness flag flame flash flask flat flavor fleet flesh flexibility
    flight flood floor flour flower flu fluid flute foam fog folder foliage folk food foot football
    forehead forest fork formula fortune foundation fountain fowl fox fraction fracture frame
    framework franchise fraud freedom freelancer freezer frequency fridge friend friendship frog
    frost fruit fuel fun funeral fungus fur furniture fuse galaxy gallery gallon gamble game gang
    gap garage garbage garden garlic gas gasoline gate gateway gear gender gene generation
    generator genius genre geography geometry germ gesture ghost giant gift giraffe girl glacier
    gland glass glory glove glucose glue goal goat god goose gorilla goroutine gospel gossip
    government governor grade grain gram grammar grandfather grandmother grandparent grape graph
    graphics grass gravity grease grid grief ground growth guest guidance guideline guilt guitar
    gulf gum gun guy gym habit hail hair hairdresser half hall hamburger hamster hand handbag handle
    hangover harassment harbor hardware harmony harp harvest hat hazard head headache headline
    headphone headquarters health heap heart heartburn heater heating heaven hedge heel height heir
    helicopter hell helmet hemisphere herb herd heritage hero hiccup hierarchy highway hill
    hint hip history hive hobby hockey hole holiday home homework honey honor hood hook horizon
    hormone horn horror horse hospital hostel hotel hour house household housing humidity hummus
    humor hunger hurricane husband hydrogen hygiene hypothesis hypertension hypotension ice icon
    idea identity ideology illness image imagination immigrant immigration impact implementation
    implication importance impression improvement incentive inch incidence incident income
    independence index indication indicator individual industry infant infection inflation
    inflection information infrastructure ingredient inhabitant inheritance initiative injection
    injury ink innovation insect inside insight inspection inspiration instance institute
    institution instruction instrument insulation insulin insurance integer integration intellect
    intelligence intensity intention interaction intercourse interface interior internet
    interpreter interval intervention invention inventor inventory investigation investment investor
    invitation invoice island issue item itinerary ivory jacket jail jam jar jasmine jaw jazz jeans
    jellyfish jet jewel jewelry job joint journal journalist journey joy judgment juice
    junction jungle jury justice kangaroo kernel kettle keyboard keyword kick kid kidney kilogram
    kilometer king kingdom kitchen knee knife knight knowledge laboratory labor lab lace ladder lady
    lake lamb lamp landlord landscape lane language laptop laser laundry law lawn lawsuit lawyer
    layer layout leader leadership leaf leaflet league leather lecture leg legend legislation lemon
    length lens lentil lesson letter lettuce level lever liability liar liberty librarian library
    lid life lifestyle lifetime light lightning limb limitation line linen lion lip list liter
    literature litigation liver lizard loan lobby lobster location lock locker logic loneliness loop
    lord loss lottery lounge love loyalty luck luggage lump lunch lung luxury machine magazine magic
    magnet mail mailbox maintenance majority malaria male mall mammal management manager mango manner
    manual manufacturer map marathon marble margin marketing market marriage mascara mask mass
    massage master mat match material math mathematics matrix mattress maturity maximum mayor meal
    meaning measles measurement meat mechanic mechanism medal media medication medicine meeting
    melody member membership memory menu merchant mercury mercy merit message messenger metabolism
    metal meter method methodology metric microphone microscope microservice microwave middle midnight
    migraine migration mile military milk mill millimeter mineral minimum minister ministry minority
    mint minute miracle mirror mission mistake mixture mode model moisture mole molecule moment
    momentum monarch monastery monday money monitor monkey monster month monument mood moon
    moose morale morality morning mortgage mosquito motel moth mother motion motivation motive motor
    motorcycle mountain mourning mouse moustache mouth movement movie mud muffin mumps murder muscle
    museum mushroom music musician mustard mystery myth nail name nap narrative nation nationality
    nature nausea navy neck necklace need needle neighbor neighborhood nephew nerve nest net network
    neuron neutron news newsletter newspaper nickel niece night nightlife nightmare nitrate nitrite
    nitrogen node noise nomination noodle noon norm north nose note notebook notification notion
    noun novel november number nurse nut nutrient nutrition oak oatmeal obesity objection objective
    obligation observation observer obstacle occasion occupation ocean octopus october offense
    office officer official oil olive omelette onion operation operator opinion opponent opportunity
    opposition optimist optimism option orbit orchestra order organ organism organization
    organizer orientation origin orphan outcome outfit outlet outline outlook output outside oven
    overtime owl owner ownership ox oxide oxygen oyster pace pacemaker packet page pain painkiller
    painter pair palace palm pan pancake panel panic pants paper paracetamol parachute
    parade paradise paragraph parameter parcel parent parenting parish parliament parrot part
    participant particle partner partnership party passage passenger passion passport password pasta
    pastry patch patent path pathology patience patient pattern pavement payment payroll pea peace
    peach peak peanut pear pearl pedestrian peer pen penalty pencil pendulum penguin penicillin
    peninsula pension people pepper percent percentage perception performance perfume period
    permission permit person personality personnel perspective pest pet petition petrol pharmacist
    pharmacy phase phenomenon philosopher philosophy phone phosphate photo photograph photographer
    photography photosynthesis phrase physician physicist physics piano picture pie piece pig pigeon
    pill pillow pilot pimple pin pine pineapple pink pint pioneer pipe pipeline pirate pizza place
    placenta plague plain plane planet plaster plastic plate platform platinum player playground plea
    pleasure plot plumber plural pneumonia pocket poem poet poetry pointer poker pole police policy
    politician politics poll pollen pollution polymer polymorphism pond pony pool pope population
    porch pork port porter portfolio portion portrait position possession possibility postcard
    poster postage pot potassium potato potential pottery poverty powder power prayer precedent
    precision precipitation predator prediction preference pregnancy prejudice premise premium
    preparation prescription presence presentation president press pressure price pride priest
    prince princess principal principle printer priority prison prisoner privacy privilege prize
    probability probation problem procedure proceeding producer product production productivity
    profession professor profile programmer programming progress project projector promotion prompt
    proof propaganda property proportion proposal prosecution protein protest protocol proton
    prototype provider province provision psychologist psychology pub publication publicity
    publisher pudding pulse pump pumpkin punishment pupil puppy purchase purpose purse puzzle
    pyramid qualification quality quantity quarrel quarter queen quest quota quotation rabbit rack
    racism radar radiation radiator radio radium rag rail railway rain rainbow range rank rash rat
    rate rating ratio reaction reader reality realm rear reason rebel receipt receiver reception
    receptor recipe recipient recognition recommendation recovery recruitment rectangle recursion
    reduction redundancy reference referendum reflection reform refrigerator refugee regex regime
    region register registration regulation regulator rehearsal relation relationship relative
    relaxation relevance relief religion reminder removal rent repetition replacement replica
    reporter repository representation representative reproduction republic reputation requirement
    reservation reservoir residence resident resignation resistance resolution resort resource
    respect response responsibility restaurant restriction result resume retailer retention
    retirement revenge revenue reverence revision revolution rhythm rib ribbon rice rider rifle
    risk ritual rival river road robbery robot rock rocket role roll roof room root rope rose
    rotation router routine row rubber rubbish rug rugby rumor runner sadness safety sail sailor
    salad salary sale salesman salmon salon salt sample sanction sand sandal sandwich satellite
    satisfaction sauce sausage scandal scarf scenario scene scent schema scholar
    scholarship school science scientist scissors scooter scope score scout screen screenshot script
    sculpture sea seafood season seat secretary section sector security seed segment selection self
    semester senate senator sensation sense sensor sentence sentiment sequence series serum servant
    server service session setting settlement severity sewage sex shade shadow shame shampoo shape
    shareholder shark sheep sheet shelf shell shelter shift shipment shirt shock shoe shore
    shortage shorts shot shoulder shower shrimp siege sight signal signature significance silence
    silk sin singer sink sister site situation size skeleton skill skin skirt skull sky slave sleeve
    slope slot smartphone snack snail snake snow soap soccer society sociology sock socket sofa
    software soil soldier solution son song soul soup source soy space spaghetti speaker specialist
    species specification specimen spectrum speech speed sphere spice spider spinach spine spirit
    spleen spokesman sponsor spoon sport spot spouse spring spy squad square squirrel stability
    stadium staff stage stair stake stamp standard star starter statement station statistics statue
    status statute steak steel stem step stereo steward stimulus stock stomach stone stool stop
    storage storm story stove strand stranger strategy straw strawberry stream street strength
    stress strike string stroke structure student studio stuff subject submission subscription
    subsidiary substance suburb success succession sugar suicide suitcase sulfate sulfide sulfur sum
    summary summer summit sun sunburn sunday sunlight sunrise sunset superintendent supermarket
    supervisor supper supplement supplier surface surgeon surgery surname surplus survey survivor
    suspension suspicion sustainability swamp sweater swimmer sword symbol sympathy symptom syntax
    syrup system table tablespoon tablet tail tale talent tank tap tape tariff task taxi taxpayer
    tea teacher team teapot teaspoon technician technique technology teenager telephone telescope
    television temper temperature template temple temptation tenant tendency tennis tension tent
    term terminal terminology terrace territory terror terrorist text texture theater theft theme
    theorem theory therapist therapy thermometer thermostat thesis thief thigh thing thought thread
    threat threshold throat throne thumb thunder thyroid ticket tide tie tiger tile timber timeout
    timer timesheet timetable timezone tin tip tire tissue title toast tobacco toe tofu toilet token
    toll tomato tone tongue tool tooth topic torch tornado tortoise torture total tour tourism
    tourist tournament towel tower town toy trademark tradition traffic tragedy trail trailer
    trainer training tram transaction transcript transformation transition translation transmission
    transparency trap trash traveler tray treasure treasury treatment treaty tree trend trial triangle
    tribe tribute trick troop trouble trousers truck trumpet trunk truth tube tuberculosis tuition
    tunnel turkey turnover turtle tutor twin type ulcer umbrella uncertainty uncle unemployment
    uniform union unit universe university upgrade usage user utility vacancy vacation vaccination
    vaccine vacuum valley van vaping variable variance variant variation variety vase vegetable
    vehicle vein velocity vendor venue version vessel veteran vice victim victory video
    viewer village villain vine vinegar violation violence violin virtue virus visa vision visitor
    vitamin vocabulary voice volcano volleyball voltage volume volunteer voter voucher voyage vpn
    wage waist waiter waitress wall wallet walnut war wardrobe warehouse warranty warrior
    watch watermelon wave wax way weakness wealth weapon weather web website wedding wednesday week
    weekday weekend weight well wellness whale wheat wheel whiskey whistle widow width wife wifi
    wildlife will willow wind window wine wing winner winter wire wisdom witch witness wolf woman
    wood wool workday worker workflow workout workplace workshop world worm worship wound wrist
    writer yacht yard year yeast yoga yogurt youth zebra zero zinc zone zoo
    """
)

NAMES = word_set(
    """
    afghanistan albania algeria andorra angola argentina armenia australia austria azerbaijan
    bahrain bangladesh barbados belarus belgium belize benin bhutan bolivia bosnia botswana brazil
    britain brunei bulgaria burundi cambodia cameroon canada chad chile china colombia congo croatia
    cuba cyprus czechia denmark dominica ecuador egypt england eritrea estonia ethiopia europe
    fiji finland france gabon gambia georgia germany ghana greece greenland grenada guatemala guiana
    guinea guyana haiti honduras hungary iceland india indonesia iran iraq ireland israel italy
    jamaica japan jordan kazakhstan kenya korea kosovo kuwait kyrgyzstan laos latvia lebanon lesotho
    liberia libya liechtenstein lithuania luxembourg madagascar malawi malaysia maldives mali malta
    mauritania mauritius mexico moldova monaco mongolia montenegro morocco mozambique myanmar
    namibia nauru nepal netherlands nicaragua niger nigeria norway oman pakistan palau palestine
    panama paraguay peru philippines poland portugal qatar romania russia rwanda samoa scotland
    senegal serbia seychelles singapore slovakia slovenia somalia spain sudan suriname sweden
    switzerland syria taiwan tajikistan tanzania thailand tibet togo tonga tunisia turkey
    turkmenistan tuvalu uganda ukraine uruguay uzbekistan vanuatu venezuela vietnam wales yemen
    zambia zimbabwe africa asia america antarctica
    amsterdam athens bangkok barcelona beijing belgrade berlin bern boston brussels bucharest
    budapest cairo canberra chicago cologne copenhagen dallas delhi denver dublin edinburgh florence
    frankfurt geneva hamburg helsinki houston istanbul jakarta jerusalem johannesburg karachi kyoto
    lima lisbon liverpool london madrid manchester manila marseille melbourne miami milan montreal
    moscow mumbai munich nairobi naples oslo ottawa paris philadelphia phoenix prague quebec riga
    rome rotterdam salzburg santiago seattle seoul seville shanghai sofia stockholm stuttgart sydney
    tallinn tehran tokyo toronto turin valencia vancouver venice vienna vilnius warsaw washington
    wellington zagreb zurich bergen
    african american arabic asian australian austrian belgian brazilian british bulgarian canadian
    chinese croatian czech danish dutch egyptian english estonian european finnish french german
    greek hebrew hindi hungarian icelandic indian indonesian irish italian japanese korean latin
    latvian lithuanian mexican norwegian persian polish portuguese romanian russian scottish serbian
    slovak slovenian spanish swahili swedish swiss thai turkish ukrainian urdu vietnamese welsh
    angular ansible apache azure bash chrome django docker excel facebook firefox flask github gitlab
    golang google grafana instagram java javascript jenkins kafka kotlin kubernetes laravel linux
    mariadb microsoft mongodb mysql nginx node numpy oracle pandas perl php postgres postgresql
    powershell prometheus python pytorch rabbitmq react redis ruby rust scala slack spark sqlite
    swift terraform typescript ubuntu vue webpack windows wordpress
    aspirin cortisone ibuprofen metformin morphine paracetamol penicillin prednisone prednisolone
    """
)

# Real words that would pass for slips of the pen.
LOOKALIKES = word_set(
    """
    simulation isolation induction meditation addiction impassable emirate craton intestate epidermic
    alterative ballon barley bolus carton cation cerate commandeer commender compliant comportment
    constriction constrictor contactor contingent cremation crenation decease dependant
    deportment difficultly discus dreadlock eduction evaporite expansive faction facture
    flexile framer franchisee gradate hermitage impalement impassible indiction indictor infliction
    insolation lability latitude lightening likability livability mediation meting miliary minster
    minuet mortality mortgagee nutriment officinal overwrote peacemaker peasant personalty pervious
    politico potable potion precisian predication prefect preform premies prevision principled
    proscribe proscription quartern reactor recaption receptor receiptor refection reflation
    refractor refuge regelation regrading relivable remainder resit revere scoter secretory
    sentience sentient signer sliver soldier solider sottish spokesmen stimulate stimulation
    strangler stricture succussion suppler timbre topical transit transience unclear ethane
    methane ethanol methanol sulfite sulfate alkane alkene alkyne affluent effluent immortal immoral
    astronomy astrology interstate intrastate inductive deductive persecution stationary stationery
    discrete discreet complementary complimentary continual continuous elicit illicit eminent
    imminent emigrate immigrate ingenious ingenuous moral morale proceed precede respectfully
    respectively allude elude adverse averse appraise apprise cardiology radiology hyperthyroidism
    hypothyroidism mitosis meiosis hydrocarbon carbohydrate metabolic anabolic catabolic arteriole
    venule ureter urethra perineal peroneal abduction adduction dysphagia dysphasia
    """
)

VOCABULARY = VERBS | ADJECTIVES | NOUNS | NAMES
