### المهام: بطاقاتها واستماراتها ونتائجها.

tasks-lead = ما يستطيع النموذج فعله في هذه الصفحة. كل مهمة بضعة أسطر من الشيفرة، وهي تعرضها.
tasks-write = كتابة
tasks-read = قراءة وتصنيف
tasks-find = بحث

task-chat = سؤال ومن يجيب عنه.
    .title = محادثة
task-summarise = نص طويل في جمل قليلة.
    .title = تلخيص
task-translate = نص من لغة إلى أخرى.
    .title = ترجمة
task-rewrite = الرسالة نفسها بنبرة أخرى.
    .title = إعادة صياغة
task-code = شيفرة من وصف.
    .title = كتابة شيفرة
task-fill = ما يقع بين قطعتين من الشيفرة.
    .title = ملء فراغ في شيفرة
task-maths = مسألة بالكلمات مع طريق حلها.
    .title = الحل خطوة خطوة
task-classify = أي تسمياتك تناسب نصًّا.
    .title = تصنيف
task-sentiment = هل النص إيجابي أم سلبي.
    .title = المشاعر
task-entailment = هل تلزم جملة من أخرى أم تناقضها أم لا هذا ولا ذاك.
    .title = الاستلزام
task-extract = حقائق من نص، في الحقول التي تختارها.
    .title = ملء استمارة
task-documents = أسئلة عن ملفات PDF ونصوص، مع الإحالات في الإجابات.
    .title = اسأل ملفاتك
task-search = مقاطع من ملفاتك تعني ما تبحث عنه، أيًّا كانت كلماتها.
    .title = البحث بالمعنى
task-compare = مدى تشابه نصّين في المعنى.
    .title = مقارنة نصوص

need-chat = تحتاج إلى نموذج محادثة
need-infill = تحتاج إلى نموذج برمجة
need-own-labels = تحتاج إلى نموذج يكتب نصوصًا
need-labels = تحتاج إلى نموذج يكتب نصوصًا أو إلى مصنِّف
need-embed = تحتاج إلى نموذج تضمين

lacks-chat = ليس لهذا النموذج قالب محادثة: إنه يكمل النصوص ولم يُدرَّب على اتباع التعليمات. حمِّل نموذجًا في اسمه Instruct أو Chat أو it.
lacks-chat-encoder = هذا النموذج مُرمِّز: يقرأ النصوص ولا يكتبها. حمِّل نموذجًا مولِّدًا للمحادثة.
lacks-infill = ليس لهذا النموذج رموز لملء فراغ. هي في نماذج البرمجة:‏ Qwen2.5-Coder وStarCoder وCodeGemma وGranite.
lacks-own-labels = هذا النموذج مُرمِّز له تسمياته: { $labels }. تحتاج تسمياتك إلى نموذج مولِّد.
lacks-any-labels = هذا النموذج مُرمِّز لا يمكن إعطاؤه تسميات. حمِّل نموذجًا مولِّدًا.
lacks-labels = هذا النموذج مُرمِّز بلا مصنِّف. حمِّل نموذجًا مولِّدًا، أو مُرمِّزًا دُرِّب على هذه المهمة.
lacks-embed = لا يعطي هذا النموذج متجهات. حمِّل نموذج تضمين: مُرمِّزًا مثل MiniLM أو bge أو e5، أو Qwen3-Embedding.

## البطاقة

task-back = → كل المهام
task-run = تشغيل
task-ask = اسأل
task-needs-embedder = حمِّل نموذج تضمين أولًا.
task-result = النتيجة
task-result-stopped = النتيجة، أُوقفت
task-stopped = أُوقفت.
task-complete = اكتملت النتيجة.
task-copy = نسخ النتيجة
task-thoughts = ما فكّر فيه النموذج
task-similarity = التشابه
task-similarity-hint = جيب تمام الزاوية بين المتجهين: 1 للنص نفسه. ما يُعدّ متشابهًا يختلف من نموذج إلى آخر.
labels-two = اذكر تسميتين أو أكثر.
yes = نعم
no = لا

## حقول الاستمارات

field-role = من يجيب
    .hint = رسالة النظام. فارغ: النموذج كما هو.
field-question = السؤال
field-looked-for = ما تبحث عنه
field-text = النص
field-length = الطول
field-from = من
field-to = إلى
field-tone = النبرة
field-what = ما ينبغي أن تفعله
field-language = اللغة
field-before = قبل الفراغ
field-after = بعد الفراغ
field-problem = المسألة
field-labels = التسميات
    .hint = اثنتان على الأقل، تفصل بينها الفاصلة اللاتينية «,».
field-premise = المقدمة
field-hypothesis = الفرضية
field-first = النص الأول
field-second = النص الثاني

length-sentence = جملة واحدة
length-sentences = ثلاث جمل
length-paragraph = فقرة
length-points = خمس نقاط
tone-formal = مهذبة ورسمية
tone-friendly = ودودة
tone-plain = قصيرة وبسيطة
tone-enthusiastic = متحمسة
tone-child = سهلة القراءة لطفل

## أمثلة للنموذج

rows-title = أمثلة ({ $count })
rows-hint = توضع في الموجّه قبل النص وتُري النموذج ما هو مطلوب.
rows-add = إضافة مثال
rows-input = المُدخَل { $number }
rows-output = المُخرَج { $number }
rows-choose = اختر تسمية
rows-remove = إزالة المثال { $number }
rows-keep = الاحتفاظ به مثالًا
rows-kept = حُفظ مثالًا.

## استمارة تُملأ

extract-run = ملء الاستمارة
extract-no-field = أضف حقلًا أولًا.
extract-cut = قُطعت الإجابة قبل أن تمتلئ الاستمارة.
extract-not-filled = لم يُملأ
schema = حقول الاستمارة
schema-add = إضافة حقل
schema-name = الاسم { $number }
schema-type = النوع { $number }
schema-choices = الخيارات { $number }، تفصل بينها الفاصلة اللاتينية «,»
schema-required = مطلوب
schema-remove = إزالة الحقل { $number }
schema-taken = لحقل آخر هذا الاسم.
type-text = نص
type-number = عدد
type-yes-or-no = نعم أو لا
type-date = تاريخ
type-choice = اختيار
type-list = قائمة

## الملفات

files = الملفات
files-hint = اختر ملفات PDF ونصوصًا أو أفلِتها هنا، أو مجلدًا. تُقرأ في هذه الصفحة ولا تذهب إلى أي مكان.
files-choose = اختيار ملفات…
files-folder = اختيار مجلد…
files-clear = إزالة الكل
files-example = استخدام المثال
files-first = اختر ملفًا أولًا أو استخدم المثال.
files-reading = جارٍ قراءة { $name }…
files-were-read =
    { $count ->
        [zero] لم يُقرأ أي مقطع.
        [one] قُرئ مقطع واحد.
        [two] قُرئ مقطعان.
        [few] قُرئت { $count } مقاطع.
        [many] قُرئ { $count } مقطعًا.
       *[other] قُرئ { $count } مقطع.
    }
files-vectors =
    { $all ->
        [zero] { $done } من { $all } مقطع لها متجهات.
        [one] { $done } من مقطع واحد له متجه.
        [two] { $done } من مقطعين لها متجهات.
        [few] { $done } من { $all } مقاطع لها متجهات.
        [many] { $done } من { $all } مقطعًا لها متجهات.
       *[other] { $done } من { $all } مقطع لها متجهات.
    }
files-by-words = من دون نموذج تضمين يكون هذا بحثًا عن الكلمات: تُعثر على المقاطع بالكلمات المشتركة بينها وبين السؤال لا بمعناها.
files-read = ما قرأه النموذج
files-found-by-words = عُثر عليها بكلماتها.
files-no-passage = لا مقطع فيه كلمة من السؤال.
files-passage = المقطع { $number }
files-page = { $file }، الصفحة { $page }
files-nothing = لم يُعثر على شيء.
file-passages =
    { $count ->
        [zero] لا مقاطع
        [one] مقطع واحد
        [two] مقطعان
        [few] { $count } مقاطع
        [many] { $count } مقطعًا
       *[other] { $count } مقطع
    }
file-passages-note = { $passages }؛ { $note }
file-has-no-text = لا نص فيه: هل صفحاته صور؟
file-cannot-be-read = تعذّرت قراءته: { $error }
pdf-not-in-copy = ليس في هذه النسخة من الصفحة
pdf-no-network = يُجلب عند أول حاجة إليه، ولا توجد شبكة
pdf-needs-map = يحتاج نصه إلى خريطة المحارف { $name }: { $why }
pdf-needs-font = قد تنقص حروف عليها علامات؛ فهي تحتاج إلى الخط { $name }: { $why }
file-is-no-text = ليس PDF ولا نصًّا بترميز UTF-8

## النموذج الذي يعطي المتجهات

embedder = نموذج التضمين
embedder-own = النموذج المحمَّل يعطي المتجهات.
embedder-is = يعطي { $name } المتجهات.
embedder-other = أخذ نموذج آخر
embedder-none = لا نموذج محمَّلًا يعطي متجهات.
embedder-here = يمكن تحميله هنا إلى جانب الآخر.
embedder-minilm = { $name }، للإنجليزية ({ $size })
embedder-stored = { $name }، على هذا الجهاز
embedder-address = من عنوان…
embedder-address-label = عنوان النموذج
embedder-file = من ملف…
embedder-file-label = ملف النموذج
embedder-loaded = حُمِّل نموذج التضمين.
