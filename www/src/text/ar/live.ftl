### رموز وأعداد، وأحدث رمز في إجابة.

quoted = «{ $text }»
percent-less = أقل من { $share }
next-cut = أزالته مرحلة: { $stage }
next-less = أقل
next-figures = { $before } ← { $after }
stage-model = النموذج
stage-penalties = العقوبات
stage-logitBias = الانحيازات
stage-constraint = القيد
stage-temperature = الحرارة
stage-topK = Top k
stage-topP = Top p
stage-minP = Min p

live-title = نظرة إلى الداخل أثناء الكتابة
live-ask = اسأل شيئًا: يُعرض كل رمز هنا حين يُسحب.
live-times = أوقات العمليات أيضًا
live-slower = الإجابات أبطأ ما دام هذا مفتوحًا: تُحسب طبقات كل خطوة واحدة واحدة.
live-slower-times = الإجابات أبطأ ما دام هذا مفتوحًا: تُحسب طبقات كل خطوة واحدة واحدة، وينتظر المحرك بعد كل عملية.
live-drawn = سُحب { $token } باحتمال { $share } بعد أخذ العيّنات؛
live-drawn-alone = سُحب { $token }؛
live-remembered =
    { $count ->
        [zero] لا رموز محفوظة.
        [one] رمز واحد محفوظ.
        [two] رمزان محفوظان.
        [few] { $count } رموز محفوظة.
        [many] { $count } رمزًا محفوظًا.
       *[other] { $count } رمز محفوظ.
    }
live-cut = أُزيل
live-tokens = الرموز التي سُحب منها
live-operations = { $time } ملّي ثانية في العمليات: { $longest }
