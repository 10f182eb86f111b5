use super::*;
use proptest::prelude::*;

fn template(text: &str) -> Template {
    let include = |name: &str| {
        (name == "add.ptx").then_some("#macro add(to, x)\nadd.f32 ${to}, ${to}, ${x};\n#end\n")
    };
    Template::new("test", text, &include).expect("a legal template")
}

fn expand(text: &str) -> String {
    let template = template(text);
    let variants = template.variants();
    template.expand(&variants[0]).expect("expands")
}

#[test]
fn blocks_expand() {
    assert_eq!(expand("a\n#for i in 0..3\nx${i} ${i*4}\n#end\nb\n"), "a\nx0 0\nx1 4\nx2 8\nb\n");
    assert_eq!(expand("#let N = 2\n#if N == 1\na\n#elif N == 2\nb\n#else\nc\n#end\n"), "b\n");
    assert_eq!(expand("#if 0\n#if 1\na\n#else\nb\n#end\n#else\nc\n#end\n"), "c\n");
    assert_eq!(expand("#if 1\n#let N = 7\n#end\n${N}\n"), "7\n");
    assert_eq!(expand("#for i in 0..0\n${nothing + 1}\n#end\n# a remark\nx\n"), "x\n");
}

#[test]
fn macros_take_text_and_numbers() {
    let text = "#include add.ptx\n#for i in 0..2\n#call add(%f${i}, {%a, %b})\n#end\n";
    assert_eq!(expand(text), "add.f32 %f0, %f0, {%a, %b};\nadd.f32 %f1, %f1, {%a, %b};\n");
    assert_eq!(
        expand("#macro label()\nL${unique}:\n#end\n#call label()\n#call label()\n"),
        "L1:\nL2:\n"
    );
}

#[test]
fn variants_are_all_combinations() {
    let template = template(
        "// scale_${dtype}_d${dim}: it scales.\n#variants dtype: f32 bf16; dim: 32 64\n#if dtype == f32\n${dim/2}\n#end\n",
    );
    let variants = template.variants();
    let entries: Vec<String> =
        variants.iter().map(|v| template.entry(v).expect("a first line")).collect();
    assert_eq!(entries, ["scale_f32_d32", "scale_f32_d64", "scale_bf16_d32", "scale_bf16_d64"]);
    let texts: Vec<usize> =
        variants.iter().map(|v| template.expand(v).expect("expands").lines().count()).collect();
    assert_eq!(texts, [2, 2, 1, 1]);
}

#[test]
fn faults_name_their_line() {
    for (text, line) in [
        ("a\n${1 +}\n", 2),
        ("a\n${1\n", 2),
        ("#for i in 0..2\na\n", 1),
        ("#for i = 0\n#end\n", 1),
        ("a\n\n#call none(1)\n", 3),
        ("#macro m(a)\n#end\n#call m(1, 2)\n", 3),
        ("#end\n", 1),
        ("#what\n", 1),
        ("#macro m()\n#call m()\n#end\n#call m()\n", 2),
        ("#for i in 0..9000000000\n#end\n", 1),
        ("#for i in 0..9000000\na\n#end\n", 2),
    ] {
        let result = template(text).expand(&Variant::new());
        match result {
            Err(Error::Parse { line: at, .. }) => assert_eq!(at, line, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
    assert!(Template::new("test", "#include other.ptx\n", &|_| None).is_err());
}

proptest! {
    #[test]
    fn any_text_expands_or_fails(text in "(#(if|for|end|else|macro|call|let) [a-c0-9 .(),=]{0,12}\n|\\$\\{[a-c0-9+]{0,4}\\}?\n){0,12}") {
        if let Ok(template) = Template::new("test", &text, &|_| None) {
            let _ = template.expand(&Variant::new());
        }
    }
}
