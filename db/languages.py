"""Which language a text is in, as far as stemming needs to know: by its script, then by its stop words."""

from collections import Counter
from collections.abc import Mapping, Set
from functools import lru_cache

ENGLISH = "english"

# Small words that carry no topic. They are left out of the lexical index, and they tell the languages of the
# Latin script apart: a passage of a hundred words holds dozens of them. The names are Snowball's.
_STOP_WORDS: Mapping[str, str] = {
    "english": """
        a about above after again against ain all also am an and any are aren as at be because been
        before being below between both but by can could couldn d did didn do does doesn doing don down
        during each either else ever few for from further get give gives had hadn has hasn have haven
        having he her here hers herself him himself his how however i if in into is isn it its itself
        just let ll m may me might mine more most much must my myself neither no nor not now o of off on
        once one only or other ought our ours ourselves out over own per re s same shall shan she should
        shouldn so some such t than that the their theirs them themselves then there these they this
        those though through thus to too under until up upon us ve very via was wasn we were weren what
        when where whether which while who whom whose why will with within without won would wouldn yet
        you your yours yourself yourselves
    """,
    "german": """
        aber alle allem allen aller alles als also am an ander andere anderen anderer auch auf aus bei
        beim bin bis bist da damit dann das dass daß dazu dein deine dem den denen der deren des dessen
        die dies diese diesem diesen dieser dieses doch dort du durch ein eine einem einen einer eines
        er es etwas euch euer für gegen gewesen hab habe haben hat hatte hatten hier hin hinter ich ihm
        ihn ihnen ihr ihre ihrem ihren ihrer ihres im in indem ins ist ja jede jedem jeden jeder jedes
        jene jetzt kann kein keine keinen keiner können könnte man manche mein meine mich mir mit muss
        musste nach nicht nichts noch nun nur ob oder ohne sehr sein seine seinem seinen seiner seines
        seit selbst sich sie sind so solche sollte sondern sonst über um und uns unser unter vom von vor
        während war waren warum was weil welche welchem welchen welcher welches wenn wer werde werden
        wie wieder will wir wird wo wollen worden wurde wurden würde würden zu zum zur zwar zwischen
    """,
    "french": """
        ai ainsi alors après as au aucun aucune auquel aussi autre autres aux avait avant avec avez
        avoir avons c car ce ceci cela celle celles celui ces cet cette ceux chaque chez comme comment d
        dans de depuis des donc dont du elle elles en encore entre est et étaient était été être eu eux
        fait furent fut il ils j je jusqu l la laquelle le lequel les lesquels leur leurs lors lorsque
        lui m ma mais même mes moi moins mon n ne ni nos notre nous on ont ou où par parce pas pendant
        peu peut plus pour pourquoi qu quand que quel quelle quelles quels qui quoi s sa sans se sera
        ses si son sont sous sur t ta tandis te tes toi ton tous tout toute toutes très tu un une vers
        vos votre vous y
    """,
    "spanish": """
        a al algo algunas algunos ante antes aquel aquella aunque como con contra cual cuales cuál
        cuáles cuando cuándo cuánto cuántos de del desde donde dónde dos durante e el él ella ellas
        ellos en entre era eran es esa esas ese eso esos esta está estaba están estas este esto estos
        fue fueron ha había han hasta hay la las le les lo los más me mi mientras mis muy nada ni no nos
        nosotros o os otra otras otro otros para pero poco por porque qué que quien quién quienes se sea
        según ser si sí sido sin sino sobre son su sus también tan tanto te tenía tiene tienen todo
        todos tu un una uno unos y ya yo
    """,
    "italian": """
        a ad agli ai al alcuni alla alle allo anche ancora c che chi ci ciò come con contro cosa cui da
        dagli dai dal dalla dalle dallo degli dei del della delle dello di dopo dove due e è ed era
        erano essere fa fino fra fu furono gli ha hanno i il in io l la le lei lo loro lui ma mentre mi
        mia mio molto ne negli nei nel nella nelle nello no noi non nostro o ogni oltre per perché più
        poi prima qual quale quali quando quanti quanto quella quelle quelli quello questa queste questi
        questo qui se sei si sia sono sopra sotto stata stati stato su sua sue sugli sui sul sulla sulle
        suo suoi tra tutti tutto un una uno vi voi
    """,
    "portuguese": """
        a à ao aos aquela aquele às as até com como contra da das de dela dele deles depois do dos
        durante e é ela elas ele eles em entre era eram essa esse esta está estão estas este estes eu
        foi foram há isso isto já la lhe lhes mais mas me mesmo meu muito na não nas nem no nos nós o
        onde os ou para pela pelas pelo pelos por porque qual quais quando quanto quantos que quem se
        seja sem ser seu seus só sobre sua suas também te tem têm tinha um uma umas uns você vocês
    """,
    "dutch": """
        aan al alle als altijd andere ben bij daar dan dat de den deze die dit doch doen door dus een
        eens en er geen ge haar had heb hebben heeft hem het hier hij hoe hoeveel hun iemand iets ik in
        is ja je kan kon kunnen maar me meer men met mij mijn moet na naar niet niets nog nu of om omdat
        onder ons onze ook op over reeds te tegen toch toen tot tussen u uit uw van veel voor waar
        waarom wanneer want waren was wat welke werd werden wezen wie wij wil worden wordt zal ze zelf
        zich zij zijn zo zonder zou
    """,
    "swedish": """
        alla allt att av blev blir bli den denna deras dess dessa det detta dig din du där då efter ej
        eller en er ett från för genom ha hade han hans har hennes hon honom hur här i icke inte jag kan
        man med mellan men mig min mot mycket ni nu när någon något några och om oss på samma sedan sig
        sin sina sitt ska skulle som så till under upp ut utan vad var vara varför varit vem vi vid
        vilka vilken vilket vår än är åt över
    """,
    "danish": """
        ad af alle at blev blive bliver da de dem den denne der deres det dette dig din disse dog du
        efter eller en end er et for fra få ham han hans har havde hende hendes her hos hun hvad hvem
        hvilke hvilken hvis hvor hvordan hvorfor hvornår i ikke ind jeg jer kan kunne man mange med
        meget mellem men mig min mod ned nogen noget nogle nu når og også om op os over på samme selv
        sig sin skal skulle som så thi til ud under uden var ved vi vil ville vor være været
    """,
    "norwegian": """
        alle at av bare ble blei bli blir da de deg dem den denne der dere deres det dette din disse du
        eller en enn er et etter for fra før ha hadde han hans har hennes her hun hva hvem hvilken hvis
        hvor hvordan hvorfor i ikke inn jeg kan kunne man mange med meg mellom men mer min mot mye noe
        noen nå når og også om opp oss over på seg selv si sin skal skulle slik som så til under ut uten
        var ved vi vil ville vår være vært
    """,
    "finnish": """
        ei eivät eli en ennen että he hän hänen itse ja jo joka joiden joissa joita jolla jos jossa jota
        jotka kanssa koska kuin kuinka kuka kun kuten me mikä missä mitä mitkä mukaan mutta myös ne
        niiden niin niitä noin nyt oli olivat olla olleet ollut on ovat sekä sen siinä sillä sitä se tai
        tämä tämän tässä tätä vaan vai vaikka voi vuonna yli
    """,
    "polish": """
        a aby ale albo był była było były być bez co czy czym dla do gdy gdzie go i ich ile im ja jak
        jaka jaki jakie jako jego jej jest jeszcze już kiedy kto która które którego której który
        których którzy lub ma mają między może na nad nie niż o od oraz po pod przed przez przy się są
        swoje swój ta tak także tam te tego tej ten to tych tylko tym u w we więc wszystkich z za zaś ze
        że został została
    """,
    "czech": """
        aby ale ani až bez bude by byl byla bylo byly být co či do i jak jaké jako je jeho její jejich
        jen jeho jsem jsou k kde kdo kdy která které který kteří ke má mezi na nad nebo není o od po pod
        podle pro proč proto před při s se si tak také ten tento to této tím u už v ve však z za že
    """,
    "romanian": """
        a acest această aceasta aceste ai al ale am ar are arte au avea ca că care ce cel cele cei cine
        cu cum când cât dacă dar de decât din după ea ei el este eu fi fie fost fără iar în între la lor
        lui mai mult ne nu o pe pentru prin s sa sale sau se și şi sunt sub său toate un una unde unei
        unui va
    """,
    "hungarian": """
        a abban ahogy aki ami amely amelyek az azok azt azonban be csak de egy egyik el ellen és ez ezek
        ezt fel hanem hogy hogyan hol ha is itt jól ki kell között le lehet lett már meg melyik mi mikor
        milyen mint minden még nagyon ne nem pedig s sem szerint től után vagy van vannak volt voltak
    """,
    "turkish": """
        ama ancak arasında bazı ben bir biri birçok biz bu buna bunu bunun çok da daha de değil diye
        eden en gibi göre hangi hem her için ile ise kadar kaç kez ki kim mi mı mu nasıl ne neden nedir
        nerede o olan olarak oldu olduğu olduğunu olup onun sonra şey şu tarafından tüm var ve veya ya
        yani yer zaman
    """,
    "indonesian": """
        ada adalah agar akan antara apa atau bagaimana bagi bahwa banyak beberapa belum berapa bisa
        dalam dan dapat dari dengan di dia ia ini itu juga kapan karena ke kepada lain lebih maka mana
        masih mereka namun oleh pada para saat saja sangat sebagai sebuah sebelum secara sedang seperti
        serta setelah siapa sudah telah tersebut tetapi tidak untuk yaitu yang
    """,
}

# One stemmer a script where Snowball has one; a neighbour's stemmer (Ukrainian by Russian's) is still the
# same rule for documents and queries, so it costs precision at worst.
_SCRIPTS: tuple[tuple[int, int, str], ...] = (
    (0x0370, 0x03FF, "greek"),
    (0x1F00, 0x1FFF, "greek"),
    (0x0400, 0x052F, "russian"),
    (0x0530, 0x058F, "armenian"),
    (0x0600, 0x06FF, "arabic"),
    (0x0750, 0x077F, "arabic"),
    (0x0900, 0x097F, "hindi"),
    (0x0B80, 0x0BFF, "tamil"),
)

STOP_WORDS = {name: frozenset(words.split()) for name, words in _STOP_WORDS.items()}
LATIN_LANGUAGES: tuple[str, ...] = tuple(STOP_WORDS)


def _languages_by_word() -> dict[str, tuple[str, ...]]:
    words = frozenset().union(*STOP_WORDS.values())
    return {word: tuple(name for name in LATIN_LANGUAGES if word in STOP_WORDS[name]) for word in words}


_LANGUAGES_BY_WORD = _languages_by_word()


def count_stop_words(words: Set[str]) -> Counter[str]:
    """Return how many of these distinct casefolded words are stop words of each Latin-script language."""
    hits: Counter[str] = Counter()
    for word in _LANGUAGES_BY_WORD.keys() & words:
        hits.update(_LANGUAGES_BY_WORD[word])
    return hits


def guess_language(words: Set[str]) -> str:
    """Return the language of a passage by these casefolded words of it; English if nothing tells."""
    hits = count_stop_words(words)
    best = max(hits, key=lambda name: hits[name], default=ENGLISH)
    # One small word proves nothing: "die" is a word of German, and of English.
    return best if hits[best] > max(1, hits[ENGLISH]) else ENGLISH


@lru_cache(maxsize=4096)
def script_language(letter: str) -> str | None:
    """Return the language that a script alone decides, None for Latin and for scripts without a stemmer."""
    point = ord(letter)
    return next((name for low, high, name in _SCRIPTS if low <= point <= high), None)
