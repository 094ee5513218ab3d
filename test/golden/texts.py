"""The texts whose token ids are recorded (test/golden/tokens.py) and compared with llama.cpp: the odd ones on purpose."""

LANGUAGES = [
    "Bring me a glass of water from the kitchen, please.",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.",
    "Voix ambiguë d’un cœur qui, au zéphyr, préfère les jattes de kiwis.",
    "El pingüino Wenceslao hizo kilómetros bajo exhaustiva lluvia y frío.",
    "Pchnąć w tę łódź jeża lub ośm skrzyń fig.",
    "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία.",
    "דג סקרן שט בים מאוכזב ולפתע מצא חברה",
    "نص حكيم له سر قاطع وذو شأن عظيم مكتوب على ثوب أخضر",
    "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण का सर्वनाश",
    "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า กว่าบรรดาฝูงสัตว์เดรัจฉาน",
    "我能吞下玻璃而不伤身体。請把水杯放在桌子上。",
    "いろはにほへと ちりぬるを 私はガラスを食べられます。",
    "키스의 고유조건은 입술끼리 만나야 하고 특별한 기술은 필요치 않다.",
    "Chào buổi sáng, hôm nay trời đẹp quá!",
    "İstanbul'da ılık bir yağmur; DİYARBAKIR ıssız.",
    "ქართული ენა და Ქართული, ᲥᲐᲠᲗᲣᲚᲘ; Հայերեն լեզու",
    "မြန်မာဘာသာ ភាសាខ្មែរ བོད་སྐད། አማርኛ ᏣᎳᎩ",
]
CODE = [
    "def f(x: int) -> list[int]:\n    return [i ** 2 for i in range(x) if i % 3 == 0]\n",
    "for (int i = 0; i < n; ++i) {\n\t\tsum += a[i] * b[i]; // dot\r\n\t}\n",
    "SELECT * FROM t WHERE name = 'O''Brien' AND x <> 3.14e-10;",
    '{"skill": "go_to", "args": {"location": "kitchen"}}',
    "<html>\n  <body class=\"a b\">&nbsp;</body>\n</html>",
    "https://example.org/a?b=c&d=%20#frag user@example.com C:\\Users\\me\\file.txt",
    "\\begin{align} \\frac{a}{b} &= \\sum_{i=0}^{\\infty} x_i \\end{align}",
    "#!/bin/sh\nset -eu\nx=$(ls | wc -l) && echo \"$x\" >> /dev/null 2>&1",
]
MARKS = [
    "🙂 👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪🇫🇷 🧑🏿‍🚀 ❤️‍🔥 0️⃣",
    "e\u0301 a\u0308\u0323 Z\u0351\u036b\u0343a\u0334l\u0310go n\u0303\u0303\u0303",
    "\u202eright to left override\u202c \u200bzero\u200c\u200dwidth\ufeff \u00adsoft",
    "½ ¾ ² ³ ① Ⅷ ٣٤٥ ४५६ ໑໒ 𝟘𝟙 一二三 〇",
    "ﬁ ﬂ Ａｂｃ １２３ ｱｲｳ ㍿ ™ ℃ Å Ω K",
    "“quotes” ‘single’ «guillemets» … — – ‐ ‰ § ¶ † • € £ ¥ ₿",
    "∀x∈ℝ: ⌈x⌉ = −⌊−x⌋, α ∧ ¬β → γ ≠ δ ≤ ∞ √2 ∑∏∫",
    "𐍈 𝔘𝔫𝔦 𓀀 𒀀 𠜎 𪚥 \U000e0001\U0010fffd",
]
SPACES = [
    "", " ", "  ", "   ", "\n", "\n\n", "\n\n\n", "\t", "\t\t\t\t", "\r\n", "\r\n\r\n", " \n", "\n ", "  \n  \n\n  ",
    "a" + " " * 17 + "b", " " * 64, "\n" * 33, "\t" * 19 + "x", "a\n \n  \n   b", "x \t \r\n y", "trailing   ",
    "   leading", "a\u00a0b\u2003c\u3000d\u2028e\u2029f\u1680g\u0085h", "tab\tand\vvertical\fform\x1cfs\x1fus",
    " a b  c   d    e     f", "word " * 12, "\u00a0\u00a0\u00a0", "\u3000\u3000x", "▁ ▁▁ x▁y ▁",
]  # fmt: skip
CONTROL = ["".join(map(chr, range(32))), "a\x00b\x00\x00c", "\x7f\x80\x9f\xa0\xad", "\x1b[31mred\x1b[0m",
           "\ufffd\ufffe\uffff", "\ue000\uf8ff", "bell\x07\x08\x08 back"]  # fmt: skip
NUMBERS = ["0 1 12 123 1234 12345 123456 1234567890", "3.14159 -1e-9 0xFF 1,000,000.50 50% $9.99", "2026-11-22T10:00:00Z",
           "1" * 40, "½3 4²5 x2y 7th 1st", "+49 (0)30 12345-678"]  # fmt: skip
ENGLISH = ["I'm you're we've he'd they'll it's can't DON'T I'M WE'LL O'Neil's 'tis 'SS 'Re 'ſ rock'n'roll",
           "Hello World HELLO hello hELLO camelCase snake_case kebab-case SCREAMING_CASE",
           "wait... what?! (really) [yes] {no} <maybe> a/b\\c a&b a|b ~a ^b `c` @d #e *f*", "x'", "''", "' s", "'s't're"]  # fmt: skip
SPECIALS = [
    "<|im_end|>", "<|im_start|>user\nhi<|im_end|>\n", "<|endoftext|>", "<s>[INST] hi [/INST]</s>", "<unk>", "<pad>",
    "<bos><start_of_turn>user\nhi<end_of_turn>\n", "<0x0A><0xE2>", "a <|im_end|> b", "<|im_end", "|im_end|>",
    "<|im_<|im_end|>end|>", "<|fim_prefix|>x<|fim_suffix|>y<|fim_middle|>", "[CLS] a [SEP] [MASK]", "<unused7>",
    "<table><tr>\n\n\n<td>", "<repo_name>x<file_sep>", "<tool_call>{}</tool_call>", "<think>\n\n</think>",
]  # fmt: skip
LONG = ["a" * 300, "ab" * 200, "antidisestablishmentarianism" * 8, "é" * 90, "漢字" * 60, "=" * 100, "-" * 77, "😀" * 30,
        "the quick brown fox " * 15, "0123456789" * 12, "_" * 50 + "x", "\u0301" * 40, "a\u0301" * 30]  # fmt: skip
BROKEN = [
    b"\xff", b"abc\x80def", b"\xe2\x82", b"\xe2\x82\xac ok \xe2\x82", b"\xf0\x9f\x98", b"\xf0\x9f\x98\x80\xf0\x9f", b"\xc3",
    b"\xc3(", b"a\xe2(\xa1b", b"\xc0\xaf \xc1\xbf", b"\xfe\xff\x00a", b"\xf8\x88\x80\x80\x80", b" \x80 \x81", b"\xe2 a",
    b"\xe2ab c", b"\xf0 \xe2\x82\xac", b"Gr\xfc\xdfe aus K\xf6ln",
]  # fmt: skip

TEXTS: list[str] = [*LANGUAGES, *CODE, *MARKS, *SPACES, *CONTROL, *NUMBERS, *ENGLISH, *SPECIALS, *LONG]
