### النماذج: العرض الأول، والرف، وما هو مخزَّن، والتحميل.

load-model = تحميل { $name }
resume-model = استئناف { $name }
export-model = تصدير { $name }

## العرض الأول

picker-title = نموذج لغوي منسوج في هذه الصفحة.
picker-lead = يشغّل weft نماذج مفتوحة داخل متصفحك. ما تكتبه لا يغادر هذا الجهاز أبدًا.
picker-own = أو أحضِر نموذج GGUF خاصًّا بك
picker-address = عنوان الملف
picker-address-wrong = يقرأ weft العناوين التي تبدأ بـ https:// أو hf:
picker-file = اختيار ملف…
picker-file-hint = أو أفلِته في أي مكان من هذه الصفحة، أو مجلدًا من transformers. الملفات المتعددة أجزاء نموذج واحد، أو نموذج ومُسقِطه (mmproj).
picker-import = استيراد ملف…
picker-import-hint = يحفظ نسخة في هذا المتصفح لتكون هنا في الزيارة القادمة.

## رف النماذج المفتوحة

shelf-title = نماذج مفتوحة
shelf-hint = يجلبها المتصفح من Hugging Face hub ويحتفظ بها. الرخص رخص صانعيها.
shelf-use = الغرض
shelf-any-use = أي شيء
shelf-size = الحجم
shelf-any-size = أي حجم
shelf-up-to = حتى { $amount }
shelf-none = لا نموذج كهذا.
shelf-count = { $found } من { $all } نموذجًا
shelf-kept = { $amount }، على هذا الجهاز
shelf-weights = { $weights } وزن
shelf-mixture = { $all } (منها { $used } لكل رمز)
use-chat = محادثة
use-tools = أدوات
use-code = برمجة
use-reasoning = استدلال
use-search = بحث

## ما يحتاج إليه النموذج هنا

facts-memory = الذاكرة
facts-speed = السرعة
facts-kind = النوع
facts-kind-is =
    { $tokens ->
        [zero] { $architecture }، { $quantization }، { $weights }، تدرّب على { $tokens } رمز
        [one] { $architecture }، { $quantization }، { $weights }، تدرّب على رمز واحد
        [two] { $architecture }، { $quantization }، { $weights }، تدرّب على رمزين
        [few] { $architecture }، { $quantization }، { $weights }، تدرّب على { $tokens } رموز
        [many] { $architecture }، { $quantization }، { $weights }، تدرّب على { $tokens } رمزًا
       *[other] { $architecture }، { $quantization }، { $weights }، تدرّب على { $tokens } رمز
    }
facts-licence = الرخصة
facts-address = العنوان
facts-reading = جارٍ قراءة ترويسة الملف…
facts-at-least = على الأقل حجم ملفه: { $amount }.
facts-unread = تعذّرت قراءة ترويسة الملف:
facts-loaded = { $loaded } بعد تحميله.
facts-loaded-and-chat =
    { $tokens ->
        [zero] { $loaded } بعد تحميله، و{ $chat } إضافية لمحادثة من { $tokens } رمز.
        [one] { $loaded } بعد تحميله، و{ $chat } إضافية لمحادثة من رمز واحد.
        [two] { $loaded } بعد تحميله، و{ $chat } إضافية لمحادثة من رمزين.
        [few] { $loaded } بعد تحميله، و{ $chat } إضافية لمحادثة من { $tokens } رموز.
        [many] { $loaded } بعد تحميله، و{ $chat } إضافية لمحادثة من { $tokens } رمزًا.
       *[other] { $loaded } بعد تحميله، و{ $chat } إضافية لمحادثة من { $tokens } رمز.
    }
facts-fits-gpu = يتّسع له معالج الرسوم في هذا الجهاز إن كان هذا القدر من الذاكرة حرًّا: فالمتصفحات لا تخبر بذلك.
facts-fits-cpu = لا يوفّر هذا المتصفح معالج رسوم؛ ويتّسع له محرك CPU إن كان هذا القدر من الذاكرة حرًّا: فالمتصفحات لا تخبر بذلك.
facts-will-not-fit = لن يتّسع له هذا الجهاز.
facts-what-would = ما يتّسع له:
obstacle-memory = لن يتّسع له الجهاز: ذاكرته نحو { $memory }.
obstacle-gpu = يحتاج إلى معالج رسوم: يتّسع محرك CPU لـ { $room } على الأكثر.
obstacle-room = لن يُحفظ: لدى المتصفح متّسع لـ { $room } أخرى.
speed-unknown = تُعرف بعد أول إجابة على هذا الجهاز.
speed-published = نحو { $least } إلى { $most } رمز/ث، وفق الأرقام المنشورة عن هذا النوع من معالجات الرسوم ({ $family }).
speed-expected = نحو { $speed } رمز/ث: أعطى { $name } سرعة { $measured } على هذا الجهاز.

## ما هو مخزَّن

stored-title = على هذا الجهاز
stored-part = { $amount }، لم يكتمل بعد
stored-part-label = الجزء المنزَّل من { $name }
stored-last-used = آخر استخدام: { DATETIME($date, dateStyle: "medium") }.
stored-export = تصدير إلى ملف
stored-and-chats = { $amount }، و{ $chats } من المحادثات
stored-chats = { $amount } من محادثات قرأها النموذج: تتابع دون قراءتها من جديد.
stored-forget = نسيانها
    .label = نسيان ما قرأه { $name } من المحادثات
stored-forgotten = نُسي ما قرأه { $name } من المحادثات. المحادثات نفسها باقية.
stored-usage = تشغل النماذج { $stored } من { $quota } المتاحة لهذه الصفحة.
stored-usage-chats = تشغل النماذج وما قرأته من المحادثات { $stored } من { $quota } المتاحة لهذه الصفحة.
stored-others = تشغل الصفحة نفسها وصفحات أخرى من موقعها { $amount }.
stored-persisted = تبقى حتى تحذفها.
stored-not-persisted = قد يحذفها المتصفح حين تضيق المساحة.
stored-meter = التخزين المستخدم
stored-persist = الطلب من المتصفح أن يحتفظ بها
stored-will-persist = سيحتفظ المتصفح بالنماذج.
stored-refused-short = لم يوافق المتصفح على الاحتفاظ بالنماذج.
stored-refused = لم يوافق المتصفح. يوافق بعضها بعد تثبيت الصفحة أو كثرة استخدامها.
stored-deleted = حُذف { $name }.
stored-not-deleted = تعذّر حذف { $name }.
stored-exporting = جارٍ تصدير { $name }: { $amount }
stored-exported = صُدِّر { $name }.
stored-not-exported = تعذّر تصدير { $name }. { $error }
stored-importing = جارٍ استيراد { $name }، { $amount }…
stored-import-part = الجزء المخزَّن من الملف
stored-imported = خُزِّن { $name } في هذا المتصفح.
stored-not-imported = تعذّر استيراد { $name }. { $error }

## التحميل

loading-start = جارٍ تشغيل المحرك
loading-prepare = التحضير: تشغيل أول للنموذج
loading-read = جارٍ قراءة النموذج من هذا الجهاز
loading-download = جارٍ تنزيل النموذج
loading-keeps = يُحفظ ما وصل في هذا المتصفح: أوقفه مؤقتًا الآن، وزر «استئناف» يكمل من حيث توقف.
loading-pause = إيقاف مؤقت
loading-from-store = { $amount } من هذا الجهاز
loading-rate = { $amount }/ث
loading-almost = أوشك على الانتهاء
loading-seconds = بقي { $seconds } ث
loading-minutes = بقي { $minutes } د
