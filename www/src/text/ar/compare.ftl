### إجابتان جنبًا إلى جنب.

compare-left = الأول
compare-right = الثاني
compare-no-model = لا نموذج
compare-after =
    { $count ->
        [zero] في بداية المحادثة.
        [one] بعد الدور السابق في المحادثة.
        [two] بعد الدورين السابقين في المحادثة.
        [few] بعد { $count } أدوار سابقة في المحادثة.
        [many] بعد { $count } دورًا سابقًا في المحادثة.
       *[other] بعد { $count } دور سابق في المحادثة.
    }
compare-question = السؤال لكليهما
compare-ask = اسأل كليهما
compare-in-turn = واحدًا بعد الآخر، لتكون السرعتان منصفتين
compare-mark = تمييز الفروق
compare-model = النموذج الثاني
compare-same = نفسه: { $name }
compare-address = عنوان أو نموذج من الرف…
compare-address-label = عنوان أو اسم نموذج من الرف
compare-address-choose = اختيار
compare-address-wrong = ليس هذا عنوانًا يبدأ بـ https:// أو hf: ولا اسم نموذج من الرف
compare-file = ملف من ملفاتك…
compare-loading = جارٍ تحميل النموذج الثاني
compare-load = تحميله أيضًا
compare-load-first = حمِّل النموذج الثاني أولًا.
compare-second-ready = النموذج الثاني جاهز.
compare-stopped = أُوقفت الإجابتان.
compare-complete = اكتملت الإجابتان.
compare-rate = رمز في الثانية
compare-first = الرمز الأول
compare-tokens = الرموز
compare-ready = جاهزية النموذج
compare-unlike = { $setting }: { $value }
second-reading = جارٍ قراءة ما يحتاج إليه…
second-does-not-fit = لا يتّسع له: { $reason }
second-no-memory = لا تكفي الذاكرة للنموذجين معًا. اختر نموذجًا أصغر.
second-memory = يأخذ نحو { $second } من الذاكرة، إلى جانب { $first } للنموذج الأول.
second-tight = قد يكون هذا أكثر مما يتّسع له هذا الجهاز.
