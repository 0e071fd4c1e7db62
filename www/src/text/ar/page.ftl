### إطار الصفحة والمحادثة.

title = weft: نموذج لغوي داخل هذه الصفحة
skip = الانتقال إلى حقل السؤال
drop = أفلِت ملف GGUF أو مجلدًا لتحميله، أو صورة لتسأل عنها
latest = إلى الأحدث
examples = أمثلة

## أزرار وكلمات في مواضع كثيرة

done = تم
cancel = إلغاء
close = إغلاق
save = حفظ
send = إرسال
stop = إيقاف
stopping = جارٍ الإيقاف.
copy = نسخ
copied = نُسخ
copy-refused = غير مسموح
answer-image = [صورة: { $description }]
code-copy = نسخ الشيفرة
load = تحميل
load-it = تحميله
resume = استئناف
delete = حذف
delete-one = حذف { $name }
remove = إزالة
undo = تراجع
search = بحث
none = لا شيء
model = النموذج
engine = المحرك
context = السياق
storage = التخزين
choose-model = اختيار نموذج
no-model-loaded = لا نموذج محمَّلًا.
a-file = ملف
view-source = عرض الشيفرة المصدرية
amount-of = { $amount } من { $total }
seconds = { NUMBER($seconds, minimumFractionDigits: 2, maximumFractionDigits: 2) } ث
weights-millions = { NUMBER($count, maximumFractionDigits: 0) } مليون وزن
weights-billions = { NUMBER($count, minimumFractionDigits: 1, maximumFractionDigits: 1) } مليار وزن

## الرأس

nav = الصفحة
nav-model = النموذج
nav-chat = المحادثة
nav-tasks = المهام
nav-compare = مقارنة
nav-chats = المحادثات
nav-new-chat = محادثة جديدة
nav-menu = القائمة
nav-inspector = الفاحص
nav-settings = الإعدادات
back-chat = → العودة إلى المحادثة
back-compare = → العودة إلى المقارنة
back-inspector = → العودة إلى الفاحص
back-tasks = → العودة إلى المهام

## المحادثة

conversation = المحادثة
chat-ready = النموذج جاهز. اسأله ما تشاء.
chat-no-model = لم يُحمَّل أي نموذج بعد.
chat-tasks = أو مهمة: لخِّص، ترجم، املأ استمارة، اسأل ملف PDF…
chat-compare = أو قارن بين نموذجين أو بين إعدادين
chat-empty = فارغة
chat-deleted-elsewhere = حُذفت هذه المحادثة في علامة تبويب أخرى.
branch-of = فرع من { $title }
branch-made = أصبح الفرع محادثة مستقلة.
answer-stopped = أُوقفت الإجابة.
answer-complete = اكتملت الإجابة.

composer-label = رسالتك
composer-placeholder = اسأل أي شيء
composer-hint = مفتاح Enter يرسل، وShift مع Enter يبدأ سطرًا جديدًا، وEscape يوقف الإجابة أو يغادر الحقل.
composer-hint-touch = مفتاح Enter يبدأ سطرًا جديدًا، وزر «إرسال» يرسل.

picture-add = إضافة صورة
picture-added = أُضيفت الصورة { $number }.
picture-remove = إزالة الصورة { $number }
picture-blind = هذا النموذج لا يقرأ الصور. النموذج الذي يقرؤها يحتاج إلى مُسقِط: اختر ملفه (mmproj) مع ملف النموذج.
picture-unread = لا يستطيع هذا المتصفح قراءة تلك الصورة.
pictures = الصور
picture = الصورة { $number }

turn-you = أنت
turn-question = السؤال
turn-answer = الإجابة
turn-no-answer = لا إجابة.
turn-copy = نسخ الإجابة
turn-look = نظرة إلى الداخل
turn-go-on = متابعة
turn-more = المزيد
turn-regenerate = توليد من جديد
    .title = إجابة أخرى؛ وإذا كانت الحرارة 0 فتؤخذ العيّنات عند { $temperature }
turn-edit = تعديل
    .label = تعديل السؤال
turn-edited = السؤال
turn-versions = نسخ هذا الدور
turn-version = النسخة
turn-previous = النسخة السابقة
turn-next = النسخة التالية
turn-branch = محادثة جديدة من هنا
    .title = محادثة جديدة بالأدوار حتى هذا الدور
turn-compare = مقارنة
    .title = إجابتان عن هذا السؤال من نموذجين أو بإعدادين
turn-delete = حذف
    .title = يحذف هذا السؤال وإجابته
turn-deleted = حُذف الدور.

## تحت الإجابة

stats-interrupted = انقطعت
stats-abort = أُوقفت
stats-length = قُطعت عند أطول إجابة
stats-full = امتلأ السياق
stats-rate = { NUMBER($rate, minimumFractionDigits: 1, maximumFractionDigits: 1) } رمز/ث
stats-first = الأول بعد { NUMBER($seconds, minimumFractionDigits: 2, maximumFractionDigits: 2) } ث
stats-tokens =
    { $tokens ->
        [zero] لا رموز
        [one] رمز واحد
        [two] رمزان
        [few] { $tokens } رموز
        [many] { $tokens } رمزًا
       *[other] { $tokens } رمز
    }
stats-steps = { NUMBER($rate, minimumFractionDigits: 1, maximumFractionDigits: 1) } لكل خطوة
stats-prompt = الموجّه { $tokens }
stats-prompt-cached = الموجّه: المحفوظ { $cached } من أصل { $tokens }

## السطر تحت حقل السؤال

engine-details = النموذج ومحركه
engine-model = { $name }، { $quantization }، { $weights }
engine-on = على { $kind } ({ $description }) · { $memory }
engine-reason = سبب اختيار هذا المحرك
context-used =
    { $of ->
        [zero] { $tokens } من { $of } رمز
        [one] { $tokens } من رمز واحد
        [two] { $tokens } من رمزين
        [few] { $tokens } من { $of } رموز
        [many] { $tokens } من { $of } رمزًا
       *[other] { $tokens } من { $of } رمز
    }
context-meter = المستخدم من السياق
context-was-full = امتلأ السياق: لم يعد النموذج يرى أقدم الرسائل.
context-nearly-full = يكاد السياق يمتلئ. سينسى النموذج أقدم الرسائل قريبًا.

## المحادثات

chats-none = لا محادثات بعد.
chats-not-found = لا محادثة فيها هذه الكلمات.
chats-kept = تُحفظ المحادثات في هذا المتصفح ولا مكان آخر.
chats-changed = { DATETIME($date, dateStyle: "medium", timeStyle: "short") }
chats-name = اسم المحادثة
chats-rename = إعادة تسمية
    .label = إعادة تسمية { $title }
chats-export = تصدير
    .label = تصدير { $title }
chats-markdown = بصيغة Markdown
chats-json = بصيغة JSON، مع كل النسخ
chats-export-all = تصدير الكل
chats-import = استيراد…
chats-deleted = حُذفت { $title }.
chats-undo = تراجع: إبقاء { $title }
chats-deleted-undo = حُذفت المحادثة. زر «تراجع» يعيدها.
chats-imported =
    { $count ->
        [zero] لم تُستورد أي محادثة.
        [one] استُوردت محادثة واحدة.
        [two] استُوردت محادثتان.
        [few] استُوردت { $count } محادثات.
        [many] استُوردت { $count } محادثة.
       *[other] استُوردت { $count } محادثة.
    }
chats-were-here =
    { $count ->
        [zero] لم تكن هنا أي منها.
        [one] كانت واحدة هنا من قبل.
        [two] كانت اثنتان هنا من قبل.
        [few] كانت { $count } هنا من قبل.
        [many] كانت { $count } هنا من قبل.
       *[other] كانت { $count } هنا من قبل.
    }
import-no-chats = لا محادثات من weft في هذا الملف: اختر ملفًا كتبه زر «تصدير».
import-damaged = هذا الملف تالف: { $error }.

## الإعدادات

settings-title = الإعدادات
settings-of-new-chats = هذه للمحادثات الجديدة. لكل محادثة إعداداتها.
settings-of-chat = موجّه النظام وأخذ العيّنات والطول تخص هذه المحادثة وحدها.
settings-are-usual = تبدأ المحادثات الجديدة بهذه
settings-make-usual = ابدأ المحادثات الجديدة بهذه أيضًا
settings-made-usual = تبدأ المحادثات الجديدة بهذه الإعدادات.
settings-sampling = أخذ العيّنات
settings-length = الطول
settings-speed = السرعة
settings-loading = التحميل
settings-need-reload = يسري هذان عند تحميل النموذج من جديد.
settings-reload = تحميله من جديد
settings-reset = إعادة ضبط كل الإعدادات
settings-page = هذه الصفحة
settings-language = اللغة
settings-language-failed = لم تصل هذه اللغة. أعد تحميل الصفحة واخترها مرة أخرى.

setting-systemPrompt = موجّه النظام
    .hint = يسبق المحادثة. فارغ: موجّه النموذج نفسه.
setting-temperature = الحرارة
    .hint = ‏0 يأخذ دائمًا الرمز الأكثر احتمالًا، وهذا يناسب النماذج الصغيرة؛ والقيمة الأعلى أكثر تنوعًا.
setting-topK = Top k
    .hint = يُبقي الرموز الأكثر احتمالًا وعددها k؛ و0 يُبقيها كلها.
setting-topP = Top p
    .hint = يُبقي الرموز الأكثر احتمالًا التي يبلغ مجموع احتمالاتها p؛ و1 يُبقيها كلها.
setting-minP = Min p
    .hint = يُسقط الرموز الأقل احتمالًا من هذه النسبة من أفضلها؛ و0 يُبقيها كلها.
setting-repetitionPenalty = عقوبة التكرار
    .hint = تجعل الرموز الأخيرة أقل احتمالًا؛ و1 لا يغيّر شيئًا.
setting-frequencyPenalty = عقوبة الكثرة
    .hint = تخفض الرمز عن كل استخدام حديث له؛ و0 لا يغيّر شيئًا.
setting-presencePenalty = عقوبة الورود
    .hint = تخفض الرمز الذي استُخدم حديثًا؛ و0 لا يغيّر شيئًا.
setting-seed = البذرة
    .hint = البذرة نفسها مع المحادثة نفسها تعطيان الإجابة نفسها.
    .placeholder = عشوائية
setting-maxTokens = أطول إجابة، بالرموز
    .short = أطول إجابة
    .placeholder = حتى يمتلئ السياق
setting-stop = نصوص الإيقاف
    .hint = واحد في كل سطر. تنتهي الإجابة قبل أي منها.
setting-speculate = المسودات
    .hint = يخمّن ما يتكرر، عدة رموز في الخطوة. تبقى الإجابة نفسها.
setting-speculate-lookup = من النص المكرر
setting-speculate-off = بلا
setting-device = الجهاز
setting-device-auto = تلقائي
setting-device-gpu = معالج الرسوم GPU ‏(WebGPU)
setting-device-cpu = المعالج CPU ‏(WebAssembly)
setting-contextLength = طول السياق، بالرموز
    .short = طول السياق
    .hint = المحادثة والإجابة معًا؛ والأطول يأخذ ذاكرة أكثر.
    .placeholder = تلقائي، 2048 على الأكثر

## اختصارات لوحة المفاتيح

shortcuts-title = اختصارات لوحة المفاتيح
shortcuts-writing = أثناء كتابة السؤال
shortcuts-reading = حين لا يُكتب شيء
shortcuts-on = المفاتيح المفردة اختصارات
shortcut-send = إرسال ما كُتب
shortcut-new-line = بدء سطر جديد
shortcut-stop = إيقاف الإجابة؛ ومن دونها مغادرة الحقل
shortcut-new-chat = بدء محادثة جديدة
shortcut-prompt = كتابة سؤال
shortcut-edit = تعديل آخر سؤال
shortcut-regenerate = الإجابة عن آخر سؤال من جديد
shortcut-copy = نسخ آخر إجابة
shortcut-previous = النسخة السابقة من دور
shortcut-next = النسخة التالية من دور
shortcut-chats = فتح المحادثات
shortcut-settings = فتح الإعدادات
shortcut-model = اختيار نموذج
shortcut-compare = مقارنة نموذجين أو إعدادين
shortcut-help = عرض هذه الاختصارات
