"""Pairs of clusters whose documents say a thing and its opposite, in many tenses, contractions and languages."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["Pair", "english_pairs", "pairs_of_other_languages"]

_FRAMES = (
    "{}",
    "hello, {}",
    "{} since monday",
    "{} today",
    "help me please, {}",
    "{} and I am at the shop",
    "again {}",
    "{} as of this morning",
)
_STYLES: dict[str, Callable[[str], str]] = {
    "spelled": lambda text: text,
    "curly": lambda text: text.replace("'", "\u2019"),
    "lost": lambda text: text.replace("'", ""),
    "split": lambda text: text.replace("'", " "),
    "shouted": lambda text: text.upper(),
}
"""What becomes of an apostrophe."""


@dataclass(frozen=True)
class Pair:
    name: str
    negated: tuple[str, ...]
    plain: tuple[str, ...]
    topic: tuple[str, ...]
    """Beginnings of words that may be in the name of the plain cluster only, unless negated."""
    markers: str
    """A pattern of the words, or parts of words, that negate."""

    def is_reversed(self, negated: str, plain: str) -> bool:
        """Whether one of the two labels says the opposite of its documents."""
        return (self._claims(negated) and not self._negates(negated)) or self._negates(plain)

    def _claims(self, label: str) -> bool:
        return any(part in label.casefold() for part in self.topic)

    def _negates(self, label: str) -> bool:
        return re.search(self.markers, label.casefold().replace("\u2019", "'")) is not None


_ENGLISH_MARKERS = r"\b(?:not|\w+n't|\w+n t|cannot|never|no|without|nothing|don)\b"
_SUBJECTS = (
    ("card", "working", "work", "worked"),
    ("payment", "arriving", "arrive", "arrived"),
    ("page", "loading", "load", "loaded"),
    ("refund", "showing", "show", "showed"),
    ("heater", "starting", "start", "started"),
)
_FORMS = (
    ("my {0} is not {1}", "my {0} is {1}"),
    ("my {0} isn't {1}", "my {0} is {1}"),
    ("the {0} doesn't {2}", "the {0} does {2}"),
    ("the {0} does not {2}", "the {0} does {2}"),
    ("the {0} didn't {2}", "the {0} {3}"),
    ("my {0} has not {3}", "my {0} has {3}"),
    ("my {0} hasn't {3}", "my {0} has {3}"),
    ("the {0} wasn't {1}", "the {0} was {1}"),
    ("the {0} won't {2}", "the {0} will {2}"),
    ("the {0} can't {2}", "the {0} can {2}"),
    ("the {0} cannot {2}", "the {0} can {2}"),
    ("the {0} can not {2}", "the {0} can {2}"),
    ("the {0} never {3}", "the {0} always {3}"),
    ("why isn't my {0} {1}", "why is my {0} {1}"),
    ("why is my {0} not {1}", "why is my {0} {1}"),
    ("the {0} is no longer {1}", "the {0} is now {1}"),
    ("my {0} wouldn't {2}", "my {0} would {2}"),
    ("the {0} hadn't {3}", "the {0} had {3}"),
    ("the {0} still hasn't {3}", "the {0} has already {3}"),
    ("my {0} just isn't {1}", "my {0} is just {1}"),
)


def english_pairs() -> Iterator[Pair]:
    """100 pairs: subjects x tenses, with the five ways of writing an apostrophe in turn."""
    styles = list(_STYLES.items())
    for s, subject in enumerate(_SUBJECTS):
        for f, (negated, plain) in enumerate(_FORMS):
            style, write = styles[(s + f) % len(styles)]
            texts = [form.format(*subject) for form in (negated, plain)]
            spread = [tuple(write(frame.format(text)) for frame in _FRAMES) for text in texts]
            yield Pair(f"{negated.format(*subject)} ({style})", spread[0], spread[1], (subject[2],), _ENGLISH_MARKERS)


_OTHERS: tuple[tuple[str, str, tuple[tuple[str, str, str], ...], tuple[str, ...]], ...] = (
    # code, markers, (negated, plain, topic), frames
    ("de", "nicht|kein| nie |ohne", (
        ("meine Karte funktioniert nicht", "meine Karte funktioniert", "funktion"),
        ("die Zahlung wurde nicht gebucht", "die Zahlung wurde gebucht", "gebucht"),
        ("ich habe kein Geld erhalten", "ich habe Geld erhalten", "erhalten"),
        ("die Seite lädt nie", "die Seite lädt immer", "lädt"),
        ("ich will nicht kündigen", "ich will kündigen", "kündig"),
        ("Lieferung ohne Rechnung", "Lieferung mit Rechnung", "rechnung"),
        ("das Paket kam nicht an", "das Paket kam an", "kam"),
    ), ("{}", "Hallo, {}", "{}, bitte helfen", "{} seit Montag", "Leider: {}", "{}, danke")),
    ("fr", " ne | n'| pas |jamais|sans|aucun| plus ", (
        ("ma carte ne fonctionne pas", "ma carte fonctionne", "fonctionne"),
        ("le paiement n'est pas arrivé", "le paiement est arrivé", "arriv"),
        ("je n'ai jamais reçu le colis", "j'ai reçu le colis", "reçu"),
        ("la page ne charge plus", "la page charge", "charge"),
        ("un compte sans frais", "un compte avec frais", "frais"),
        ("je n\u2019arrive pas à me connecter", "j\u2019arrive à me connecter", "connect"),
    ), ("{}", "bonjour, {}", "{}, merci", "{} depuis lundi", "Aide : {}", "{} aujourd'hui")),
    ("es", " no |nunca|sin |ningun|ningún|jamás", (
        ("mi tarjeta no funciona", "mi tarjeta funciona", "funciona"),
        ("el pago no ha llegado", "el pago ha llegado", "llega"),
        ("nunca recibí el paquete", "ya recibí el paquete", "recib"),
        ("la página no carga", "la página carga", "carga"),
        ("cuenta sin comisiones", "cuenta con comisiones", "comision"),
    ), ("{}", "hola, {}", "{}, gracias", "{} desde el lunes", "ayuda: {}", "{} hoy")),
    ("it", " non |mai|senza|nessun", (
        ("la mia carta non funziona", "la mia carta funziona", "funziona"),
        ("il pagamento non è arrivato", "il pagamento è arrivato", "arriva"),
        ("il pacco non è stato consegnato", "il pacco è stato consegnato", "consegn"),
        ("conto senza spese", "conto con spese", "spese"),
    ), ("{}", "ciao, {}", "{}, grazie", "{} da lunedì", "aiuto: {}", "{} oggi")),
    ("pt", " não |nunca|sem |nenhum", (
        ("o meu cartão não funciona", "o meu cartão funciona", "funciona"),
        ("o pagamento não chegou", "o pagamento chegou", "chegou"),
        ("nunca recebi o pacote", "já recebi o pacote", "receb"),
        ("conta sem taxas", "conta com taxas", "taxas"),
    ), ("{}", "olá, {}", "{}, obrigado", "{} desde segunda", "ajuda: {}", "{} hoje")),
    ("nl", "niet|geen|nooit|zonder", (
        ("mijn kaart werkt niet", "mijn kaart werkt", "werk"),
        ("de betaling is niet aangekomen", "de betaling is aangekomen", "aangekomen"),
        ("ik heb geen geld ontvangen", "ik heb geld ontvangen", "ontvangen"),
        ("rekening zonder kosten", "rekening met kosten", "kosten"),
    ), ("{}", "hallo, {}", "{}, bedankt", "{} sinds maandag", "help: {}", "{} vandaag")),
    ("sv", " inte |aldrig|utan| inga | ingen | inget | ej ", (
        ("mitt kort fungerar inte", "mitt kort fungerar", "funger"),
        ("betalningen har inte kommit", "betalningen har kommit", "komm"),
        ("jag har aldrig fått paketet", "jag har fått paketet", "fått"),
        ("konto utan avgift", "konto med avgift", "avgift"),
    ), ("{}", "hej, {}", "{}, tack", "{} sedan i måndags", "hjälp: {}", "{} idag")),
    ("da", "ikke|aldrig|uden| ingen ", (
        ("mit kort virker ikke", "mit kort virker", "virk"),
        ("betalingen er ikke ankommet", "betalingen er ankommet", "ankom"),
        ("konto uden gebyr", "konto med gebyr", "gebyr"),
    ), ("{}", "hej, {}", "{}, tak", "{} siden mandag", "hjælp: {}", "{} i dag")),
    ("no", "ikke|aldri|uten| ingen ", (
        ("kortet mitt virker ikke", "kortet mitt virker", "virk"),
        ("betalingen har ikke kommet", "betalingen har kommet", "komm"),
        ("konto uten gebyr", "konto med gebyr", "gebyr"),
    ), ("{}", "hei, {}", "{}, takk", "{} siden mandag", "hjelp: {}", "{} i dag")),
    ("fi", " ei |eivät| en |ilman|älä| ettei", (
        ("korttini ei toimi", "korttini toimii", "toimi"),
        ("maksu ei ole saapunut", "maksu on saapunut", "saapu"),
        ("tili ilman maksuja", "tili ja maksuja", "maksuj"),
    ), ("{}", "hei, {}", "{}, kiitos", "{} maanantaista", "apua: {}", "{} tänään")),
    ("pl", " nie |nigdy|bez |żad", (
        ("moja karta nie działa", "moja karta działa", "działa"),
        ("płatność nie dotarła", "płatność dotarła", "dotar"),
        ("konto bez opłat", "konto z opłatą", "opłat"),
    ), ("{}", "cześć, {}", "{}, dziękuję", "{} od poniedziałku", "pomoc: {}", "{} dzisiaj")),
    ("cs", " ne|nikdy|bez |žádn|není", (
        ("moje karta nefunguje", "moje karta funguje", "fung"),
        ("platba nedorazila", "platba dorazila", "doraz"),
        ("účet bez poplatků", "účet s poplatky", "poplatk"),
    ), ("{}", "dobrý den, {}", "{}, děkuji", "{} od pondělí", "pomoc: {}", "{} dnes")),
    ("hu", " nem |soha|nélkül|nincs| ne ", (
        ("a kártyám nem működik", "a kártyám működik", "működ"),
        ("a fizetés nem érkezett meg", "a fizetés megérkezett", "érkez"),
        ("számla díj nélkül", "számla díj mellett", "díj"),
    ), ("{}", "helló, {}", "{}, köszönöm", "{} hétfő óta", "segítség: {}", "{} ma")),
    ("ro", " nu |fără|niciodat| n-", (
        ("cardul meu nu funcționează", "cardul meu funcționează", "funcțion"),
        ("plata nu a ajuns", "plata a ajuns", "ajuns"),
        ("cont fără comision", "cont cu comision", "comision"),
    ), ("{}", "bună, {}", "{}, mulțumesc", "{} de luni", "ajutor: {}", "{} astăzi")),
    ("tr", "mıyor|miyor|muyor|müyor|medi|madı|değil|yok| hiç|siz|sız|suz|süz", (
        ("kartım çalışmıyor", "kartım çalışıyor", "çalış"),
        ("ödeme gelmedi", "ödeme geldi", "gel"),
        ("param hesabımda yok", "param hesabımda var", "hesab"),
        ("ürün uygun değil", "ürün uygun", "uygun"),
    ), ("{}", "merhaba, {}", "{}, teşekkürler", "{} pazartesiden beri", "yardım: {}", "{} bugün")),
    ("el", " δεν | δε |χωρίς|ποτέ| μην | όχι ", (
        ("η κάρτα μου δεν λειτουργεί", "η κάρτα μου λειτουργεί", "λειτουργ"),
        ("η πληρωμή δεν έφτασε", "η πληρωμή έφτασε", "έφτασε"),
        ("λογαριασμός χωρίς χρέωση", "λογαριασμός με χρέωση", "χρέωσ"),
    ), ("{}", "γεια, {}", "{}, ευχαριστώ", "{} από τη Δευτέρα", "βοήθεια: {}", "{} σήμερα")),
    ("ru", " не |нет|без |никогда| ни ", (
        ("моя карта не работает", "моя карта работает", "работа"),
        ("платеж не пришел", "платеж пришел", "приш"),
        ("у меня нет доступа", "у меня есть доступ", "доступ"),
        ("счет без комиссии", "счет с комиссией", "комисси"),
    ), ("{}", "привет, {}", "{}, спасибо", "{} с понедельника", "помогите: {}", "{} сегодня")),
    ("uk", " не |немає|без |ніколи| ні ", (
        ("моя картка не працює", "моя картка працює", "працю"),
        ("платіж не надійшов", "платіж надійшов", "надій"),
        ("рахунок без комісії", "рахунок з комісією", "комісі"),
    ), ("{}", "привіт, {}", "{}, дякую", "{} з понеділка", "допоможіть: {}", "{} сьогодні")),
    ("ar", " لا | لم | لن |ليس|غير|بدون| ما ", (
        ("البطاقة لا تعمل", "البطاقة تعمل", "تعمل"),
        ("لم يصل الدفع", "وصل الدفع أمس", "يصل"),
        ("حساب بدون رسوم", "حساب مع رسوم", "رسوم"),
    ), ("{}", "مرحبا، {}", "{}، شكرا", "{} منذ الاثنين", "مساعدة: {}", "{} اليوم")),
    ("he", " לא | אין |בלי|ללא|אינ", (
        ("הכרטיס שלי לא עובד", "הכרטיס שלי עובד", "עובד"),
        ("התשלום לא הגיע", "התשלום הגיע", "הגיע"),
        ("חשבון ללא עמלה", "חשבון עם עמלה", "עמלה"),
    ), ("{}", "שלום, {}", "{}, תודה", "{} מיום שני", "עזרה: {}", "{} היום")),
    ("fa", "نمی|نیست|بدون|نشد|نه ", (
        ("کارت من کار نمی کند", "کارت من کار می کند", "کار نک"),
        ("پرداخت انجام نشد", "پرداخت انجام شد", "انجام"),
        ("حساب بدون کارمزد", "حساب با کارمزد", "کارمزد"),
    ), ("{}", "سلام، {}", "{}، ممنون", "{} از دوشنبه", "کمک: {}", "{} امروز")),
    ("hi", "नहीं| न |मत|बिना", (
        ("मेरा कार्ड काम नहीं कर रहा है", "मेरा कार्ड काम कर रहा है", "काम"),
        ("भुगतान नहीं आया", "भुगतान आया", "आया"),
        ("बिना शुल्क खाता", "शुल्क खाता", "शुल्क"),
    ), ("{}", "नमस्ते, {}", "{}, धन्यवाद", "{} सोमवार से", "मदद: {}", "{} आज")),
    ("id", "tidak|tanpa|belum|bukan|jangan| tak ", (
        ("kartu saya tidak berfungsi", "kartu saya berfungsi", "fungsi"),
        ("pembayaran belum masuk", "pembayaran sudah masuk", "masuk"),
        ("rekening tanpa biaya", "rekening dengan biaya", "biaya"),
    ), ("{}", "halo, {}", "{}, terima kasih", "{} sejak senin", "tolong: {}", "{} hari ini")),
    ("vi", "không|chưa|chẳng|đừng", (
        ("thẻ của tôi không hoạt động", "thẻ của tôi hoạt động", "hoạt động"),
        ("thanh toán chưa đến", "thanh toán đã đến", "đến"),
        ("tài khoản không mất phí", "tài khoản mất phí", "phí"),
    ), ("{}", "xin chào, {}", "{}, cảm ơn", "{} từ thứ hai", "giúp: {}", "{} hôm nay")),
    ("ca", " no |mai|sense", (
        ("la meva targeta no funciona", "la meva targeta funciona", "funciona"),
        ("el pagament no ha arribat", "el pagament ha arribat", "arriba"),
        ("compte sense comissions", "compte amb comissions", "comission"),
    ), ("{}", "hola, {}", "{}, gràcies", "{} des de dilluns", "ajuda: {}", "{} avui")),
    ("ja", "ない|ません|なかった|無|未|ぬ|ず", (
        ("カードが使えない", "カードが使える", "使え"),
        ("支払いが届いていません", "支払いが届いています", "届い"),
        ("ログインできません", "ログインできます", "でき"),
        ("返金されなかった", "返金された", "返金され"),
    ), ("{}", "すみません、{}", "{}。お願いします", "昨日から{}", "{}のですが", "至急！{}")),
    ("zh", "不|没|未|无|無|沒|别", (
        ("我的卡不能用", "我的卡能用", "能用"),
        ("退款没有到账", "退款已经到账", "到账"),
        ("无法登录账户", "可以登录账户", "登录"),
        ("还未收到包裹", "已经收到包裹", "收到"),
        ("应用打不开", "应用能打开", "打"),
    ), ("{}", "你好，{}", "{}，谢谢", "昨天开始{}", "请问{}", "急！{}")),
    ("ko", "안 |않|못|없|아니", (
        ("카드가 작동하지 않아요", "카드가 작동해요", "작동"),
        ("환불이 안 들어왔어요", "환불이 들어왔어요", "들어왔"),
        ("로그인이 되지 않습니다", "로그인이 됩니다", "되지"),
        ("수수료 없는 계좌", "수수료 있는 계좌", "수수료"),
    ), ("{}", "안녕하세요, {}", "{}, 감사합니다", "월요일부터 {}", "도와주세요: {}", "오늘 {}")),
    ("th", "ไม่|ยังไม่|มิ", (
        ("บัตรของฉันใช้งานไม่ได้", "บัตรของฉันใช้งานได้", "ใช้งาน"),
        ("เงินคืนยังไม่เข้า", "เงินคืนเข้าแล้ว", "เข้า"),
        ("แอปไม่เปิด", "แอปเปิด", "เปิด"),
    ), ("{}", "สวัสดี {}", "{} ขอบคุณ", "{} ตั้งแต่วันจันทร์", "ช่วยด้วย {}", "{} วันนี้")),
)  # fmt: skip


def _pattern(markers: str) -> str:
    return "|".join(
        rf"(?<!\S){part.strip()}(?!\S)" if part.startswith(" ") and part.endswith(" ")
        else rf"(?<!\S){part.strip()}" if part.startswith(" ")
        else rf"{part.strip()}(?!\S)" if part.endswith(" ")
        else part
        for part in markers.split("|")
    )  # fmt: skip


def pairs_of_other_languages() -> Iterator[Pair]:
    """At least 100 pairs in 29 languages."""
    for code, markers, forms, frames in _OTHERS:
        for negated, plain, topic in forms:
            yield Pair(
                f"{code}: {negated}",
                tuple(frame.format(negated) for frame in frames),
                tuple(frame.format(plain) for frame in frames),
                (topic.casefold(),),
                _pattern(markers.casefold()),
            )
