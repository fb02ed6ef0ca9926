"""Function words of languages of Asia."""

from shoal.labeling.languages.language import Language, words

__all__ = [
    "BURMESE", "CHINESE", "HINDI", "INDONESIAN", "JAPANESE", "KHMER", "KOREAN", "LAO", "MALAY", "THAI", "VIETNAMESE",
]  # fmt: skip

JAPANESE = Language(
    code="ja",
    stemmer="",
    function=words(
        """の は が を に へ と で も や か な だ た て し す る い う れ さ ま せ ん お ご ら り く け っ よ ね わ
        です ます でした ました まし ください 下さい した して する され れる られる たい から まで より こと もの
        ので のに ため など ほど だけ これ それ あれ この その あの どの 何 なに どう なぜ いつ どこ 誰 だれ ある
        いる なる という として について による ている ていま い ます でき ましょう でしょう ねがい 願い 願 致し
        いたし ござい いただ 頂 み すみ すみません ありがとう んで そして しかし また だっ なっ て い っ"""
    ),
    barriers=words("は が を すみません"),
    negations=words("未 無 非 不"),
    trailing_negations=words(
        """ない なく なかった なかっ なし 無い ません ませんでした せん ぬ ず ずに できない できません ないで
        なければ"""
    ),
)

CHINESE = Language(
    code="zh",
    stemmer="",
    function=words(
        """的 了 吗 呢 吧 啊 嗎 我 你 您 他 她 它 们 們 是 在 有 和 与 與 就 都 也 很 这 這 那 个 個 会 會 把 被 给
        給 请 請 怎 么 麼 什 为 為 我的 你的 您的 他的 她的 它的 我们 我們 你们 他们 您好 你好 请问 請問 谢谢 謝謝
        怎么 怎么样 怎样 怎麼 什么 什麼 为什么 為什麼 哪里 哪裡 哪个 哪 多少 几 谁 這個 这个 那个 这些 那些 一个
        一個 可以 能 能够 想 我想 要 需要 应该 已经 已經 还 還 再 又 才 只 最 更 太 非常 因为 所以 如果 但 但是 而
        而且 或 或者 以及 对 對 对于 从 從 向 于 於 以 让 讓 得 地 着 著 过 過 今天 昨天 现在 如何 是否 一 些 之 其
        此 吧 呀 嘛 哦"""
    ),
    barriers=words("我 你 您 他 她 吗 呢 请 我们 你们 他们 请问 谢谢 你好 您好 为什么 怎么 什么 如果 但是 因为"),
    negations=words(
        """不 没 沒 未 无 無 别 莫 没有 沒有 无法 無法 不能 不会 不會 不是 不可以 不要 不想 尚未 还没 还没有 還沒
        从未 从不 未能 并未 并不 不再 不可 不用 不给 不让"""
    ),
    trailing_negations=words("不了 不到 不开 不開 不上 不出 不起 不动 不見 不见 不下 不成"),
)

KOREAN = Language(
    code="ko",
    stemmer="",
    function=words(
        """이 그 저 것 수 등 및 또는 그리고 하지만 그러나 그래서 에서 에게 으로 부터 까지 는 은 가 을 를 의 에 와 과
        도 로 만 나는 내가 제가 저는 나의 제 내 우리 당신 어떻게 왜 언제 어디 어디서 누가 누구 무엇 뭐 무슨 어떤 몇
        얼마나 얼마 이것 그것 있는 있습니다 있어요 있나요 있다 합니다 해요 하는 하고 하다 했습니다 했어요 됩니다
        되는 되나요 돼요 된다 입니다 이에요 예요 싶어요 싶습니다 주세요 안녕하세요 감사합니다 오늘 어제 지금 다시
        너무 매우 정말 아주 좀 더 가장 모든 다른 같은 때 후 전 중 대한 대해 위해 통해 관련 도와주세요"""
    ),
    barriers=words("나는 내가 제가 저는 하지만 그러나 왜 어떻게 언제 안녕하세요 감사합니다"),
    openers=words("왜 어떻게 언제 어디 누가 무엇 뭐 몇 얼마나"),
    negations=words("안 못 없이"),
    negation_starts=("않", "못하", "못한", "못했", "없", "아니", "아닙", "안돼", "안됩", "말아"),
)

HINDI = Language(
    code="hi",
    stemmer="hindi",
    function=words(
        """है हैं था थी थे हो होता होती होते हुआ हुई हुए का की के को में से पर और या भी ही तो मैं मेरा मेरी मेरे मुझे आप आपका आपकी आपके
        हम हमारा हमें तुम यह वह ये वे इस इसे उस उसे उन इन इसका उसका जिस जो क्या कैसे कब कहाँ कहां क्यों कौन किस कितना कितने कितनी
        कि एक कर करें करना करता करती करते किया रहा रही रहे गया गई गए जा जाता जाती ने लिए सकता सकती सकते चाहिए चाहता चाहती
        हूँ हूं अपना अपनी अपने अब आज कल फिर तक बाद पहले साथ बारे द्वारा लेकिन अगर क्योंकि जब तब वाला वाली वाले सभी सब कुछ बहुत
        नमस्ते धन्यवाद कृपया यहाँ वहाँ दिया लिया मदद"""
    ),
    barriers=words("मैं आप हम यह वह कि जो क्या कैसे कब कहाँ क्यों लेकिन अगर क्योंकि नमस्ते धन्यवाद कृपया"),
    openers=words("क्या कैसे कब कहाँ कहां क्यों कौन कितना कितने कितनी"),
    negations=words("मत बिना"),
    trailing_negations=words("नहीं न नही"),
)

INDONESIAN = Language(
    code="id",
    stemmer="indonesian",
    function=words(
        """yang dan di ke dari untuk pada dengan ini itu saya anda kamu dia mereka kami kita aku adalah ada akan
        sudah telah bisa dapat harus ingin mau apa siapa kapan mana kenapa mengapa bagaimana berapa atau tetapi tapi
        karena jika kalau bahwa oleh juga lagi lebih sangat saja hanya masih sedang agar supaya seperti sebagai
        dalam luar atas bawah antara setelah sebelum sejak hingga sampai tentang terhadap para setiap semua beberapa
        lain sama sendiri nya pun lah kah halo terima kasih tolong mohon hari sekarang kemarin begitu maka namun
        serta ialah secara si sang bagi menjadi yaitu"""
    ),
    barriers=words(
        "saya anda kamu dia kami kita yang apa siapa kapan kenapa mengapa bagaimana tetapi karena jika halo"
    ),
    openers=words("apa siapa kapan kenapa mengapa bagaimana berapa"),
    negations=words("tidak tak bukan jangan tanpa belum tiada  enggak nggak gak"),
    adverbs=words("bisa dapat juga pernah"),
)

MALAY = Language(
    code="ms",
    stemmer="",
    function=INDONESIAN.function
    | words("""awak saya ialah boleh hendak nak kerana sahaja ataupun kepada daripada bila"""),
    barriers=INDONESIAN.barriers | words("kerana"),
    openers=INDONESIAN.openers | words("bila"),
    negations=INDONESIAN.negations | words("tiada bukan"),
)

VIETNAMESE = Language(
    code="vi",
    stemmer="",
    function=words(
        """và của là có cho các những một này đó kia được bị với trong ngoài trên dưới tại từ đến để khi nếu thì mà
        nhưng hoặc hay vì do nên rằng như cũng đã đang sẽ rất quá lắm hơn nhất tôi bạn anh chị em ông bà nó họ chúng
        ta mình gì ai nào đâu sao bao nhiêu thế ở ra vào lên xuống qua lại về theo bằng giữa sau trước nữa chỉ vẫn
        còn hôm nay qua xin chào cảm ơn vui lòng giúp ạ nhé cái con việc sự mỗi mọi tất cả khác muốn cần phải thể"""
    ),
    barriers=words("tôi bạn nếu nhưng vì khi thì mà sao xin chào cảm ơn"),
    openers=words("gì ai nào đâu sao bao"),
    negations=words("không khong chưa chẳng đừng chả"),
)

THAI = Language(
    code="th",
    stemmer="",
    function=words(
        """และ ที่ ของ ใน เป็น มี ได้ ให้ จะ ว่า กับ จาก ก็ แต่ หรือ เพราะ ถ้า เมื่อ นี้ นั้น ฉัน ผม เขา เธอ เรา คุณ มัน พวก อะไร ใคร
        ทำไม อย่างไร ยังไง ที่ไหน เมื่อไหร่ เท่าไหร่ ไหม มั้ย ครับ ค่ะ คะ นะ แล้ว อยู่ ไป มา ต้อง อยาก สามารถ การ ความ ด้วย โดย ถึง
        ตั้งแต่ จน กว่า มาก ทุก บาง อื่น เอง อีก ยัง กำลัง เคย ขอ ช่วย สวัสดี ขอบคุณ วัน ซึ่ง อัน คน เพื่อ ตาม ต่อ บน ล่าง นี่ นั่น วันนี้"""
    ),
    barriers=words("ฉัน ผม เขา เรา คุณ ถ้า แต่ เพราะ ทำไม ครับ ค่ะ สวัสดี ขอบคุณ"),
    negations=words("ไร้ อย่า ห้าม"),
    trailing_negations=words("ไม่ มิ ไม่ได้"),
)

KHMER = Language(
    code="km",
    stemmer="",
    function=words(
        """និង នៃ នៅ ក្នុង ជា មាន ដែល បាន ពី ទៅ ដោយ សម្រាប់ នេះ នោះ ខ្ញុំ អ្នក គាត់ យើង របស់ របស់ខ្ញុំ នឹង ហើយ ប៉ុន្តែ ឬ ព្រោះ ប្រសិនបើ អ្វី
        ណា ហេតុអ្វី យ៉ាងណា ទេ ក៏ ដល់ លើ ក្រោម តើ សូម អរគុណ សួស្តី មក"""
    ),
    negations=words("មិន អត់ គ្មាន កុំ មិនបាន"),
)

LAO = Language(
    code="lo",
    stemmer="",
    function=words("""ແລະ ຂອງ ໃນ ເປັນ ມີ ໄດ້ ໃຫ້ ຈະ ວ່າ ກັບ ຈາກ ກໍ ແຕ່ ຫຼື ເພາະ ຖ້າ ນີ້ ນັ້ນ ຂ້ອຍ ເຈົ້າ ລາວ ພວກ ຫຍັງ ໃຜ ທີ່ ແລ້ວ ຢູ່ ໄປ ມາ"""),
    negations=words("ຢ່າ"),
    trailing_negations=words("ບໍ່ ບໍ່ໄດ້"),
)

BURMESE = Language(
    code="my",
    stemmer="",
    function=words("""နှင့် နဲ့ ၏ ရဲ့ မှာ တွင် သည် က ကို မှ ဖြင့် ဖြစ် ရှိ ပြီ ပါ တယ် မယ် ကျွန်တော် ကျွန်မ သင် သူ ဒီ ထို ဘာ ဘယ် လဲ လား နှင့်"""),
    negations=words("မ"),
    trailing_negations=words("မဟုတ်ဘူး ဘူး"),
)
