//! Tables of English words and abbreviations.

/// What follows an apostrophe in the second part of a contraction, apart from *n't*.
pub(crate) const CONTRACTED: [&str; 6] = ["s", "re", "ve", "d", "ll", "m"];
/// Words that begin with an apostrophe, without it.
pub(crate) const CLIPPED: [&str; 6] = ["em", "n", "til", "tis", "twas", "cause"];
/// Two words that are written as one, with a space between them here.
pub(crate) const FUSED: [&str; 25] = [
    "can not", "gon na", "got ta", "wan na", "out ta", "ai nt", "are nt", "ca nt", "could nt", "did nt", "does nt",
    "do nt", "is nt", "wo nt", "would nt", "i m", "i ve", "he s", "let s", "that s", "there s", "they re", "what s",
    "you ll", "you re",
];
/// Prefixes that are one word with what follows their hyphen. Other compounds are split at hyphens.
pub(crate) const PREFIXES: [&str; 17] = [
    "anti", "co", "counter", "cross", "e", "ex", "mid", "multi", "neo", "non", "over", "post", "pre", "pro", "re",
    "semi", "sub",
];
/// Units that are split from the number before them.
pub(crate) const UNITS: [&str; 32] = [
    "am", "pm", "k", "m", "b", "bn", "mm", "cm", "km", "kg", "mg", "ft", "lb", "lbs", "oz", "mph", "hz", "khz", "mhz",
    "ghz", "kb", "mb", "gb", "hr", "hrs", "min", "mins", "days", "years", "x", "a.m", "p.m",
];
/// The last part of the name of a host or a file.
pub(crate) const EXTENSIONS: [&str; 38] = [
    "com", "org", "net", "gov", "edu", "mil", "info", "biz", "uk", "de", "fr", "ca", "au", "eu", "io", "doc", "docx",
    "xls", "xlsx", "ppt", "pptx", "pdf", "txt", "csv", "html", "htm", "php", "asp", "aspx", "jpg", "jpeg", "gif",
    "png", "zip", "exe", "mp3", "url", "rs",
];
/// Abbreviations before a name, after which no sentence ends.
pub(crate) const TITLES: [&str; 24] = [
    "Dr", "Mr", "Mrs", "Ms", "Prof", "Rev", "Gen", "Lt", "Col", "Sgt", "Capt", "Gov", "Sen", "Rep", "Reps", "Hon",
    "Messrs", "Ft", "Mt", "vs", "Attn", "eg", "ie", "P.S",
];
/// Other abbreviations.
pub(crate) const ABBREVIATIONS: [&str; 43] = [
    "St", "Jr", "Sr", "Inc", "Corp", "Co", "Ltd", "Bros", "Jan", "Feb", "Aug", "Sept", "Oct", "Nov", "Dec", "Mon",
    "Tue", "Tues", "Wed", "Thu", "Thur", "Thurs", "Fri", "Ave", "Blvd", "Rd", "Dept", "Univ", "Assn", "Ph", "Vol",
    "Ext", "Esp", "Approx", "Est", "etc", "al", "cf", "yrs", "hrs", "mins", "lb", "oz",
];
/// Abbreviations only before a number.
pub(crate) const NUMBERED: [&str; 6] = ["No", "Nos", "Sec", "Fig", "pp", "p"];
/// Words that begin a sentence, if one may have ended with the abbreviation before them.
pub(crate) const OPENERS: [&str; 48] = [
    "A", "After", "All", "Although", "An", "And", "Any", "As", "At", "Because", "But", "By", "For", "From", "He",
    "Here", "How", "However", "I", "If", "In", "It", "Its", "My", "No", "Not", "On", "Or", "Our", "Please", "She",
    "So", "That", "The", "Their", "Then", "There", "These", "They", "This", "To", "We", "What", "When", "Where",
    "Which", "Why", "You",
];
