/**
 * The private words that we replaced by the field's own, and what to write instead. Identifiers,
 * keys, fields, texts and file names are compared by their parts (`laneOf` is `lane` and `of`),
 * prose by phrases.
 */
export interface BannedWord {
  readonly word: string;
  /** What to write instead. */
  readonly write: string;
  /** Parts of a name, in lower case. */
  readonly parts?: readonly string[];
  /** A whole identifier or key; for words that are another thing's name elsewhere. */
  readonly names?: RegExp;
  /** The files in which `parts` and `names` are banned. Default: all. */
  readonly within?: RegExp;
  /** In comments, Markdown and texts of several words. A space matches any white space. */
  readonly phrases?: RegExp;
  readonly exceptions?: readonly Exception[];
}

export interface Exception {
  /** A whole identifier, or a phrase around the banned one. */
  readonly match: RegExp;
  /** Only there. */
  readonly files?: RegExp;
  readonly reason: string;
}

export const BANNED_WORDS: readonly BannedWord[] = [
  {
    word: "door",
    write: "inbound adapter, receiver",
    parts: ["door", "doors"],
    phrases: /\bdoors?\b/i,
  },
  {
    word: "words (of an event)",
    write: "wire format",
    names: /^(?:own|plain|event)_?words$/i,
    phrases:
      /\b(?:own|plain|vendors?'s?|its|their|each|which|what|common|other) words\b|\bwords? (?:for (?:it|them|this)|(?:it|they) (?:is|are) in)\b/i,
    exceptions: [{ match: /\bin other words\b/i, reason: "idiom" }],
  },
  {
    word: "form (of an event)",
    write: "wire format",
    parts: ["form", "forms"],
    phrases: /\bforms?\b/i,
    exceptions: [
      {
        match: /^form$/,
        files:
          /^packages\/log\/(?:src\/lanes\/(?:fates|fate-blocks|fate-log|ahead-fates|verify-lanes)|test\/lanes\/verify-lanes\.test)\.ts$/,
        reason: "the stored key of a block of fates, whose file format is fixed",
      },
      { match: /^x?-?(?:www-)?form-?_?(?:data|url-?encoded)$/i, reason: "the web's own name" },
      {
        match: /\bform[- ](?:action|data|fields?|encoded|urlencoded)\b|\bHTML forms?\b/i,
        reason: "the web's own name",
      },
      { match: /\b(?:short|long|plural|canonical) forms?\b|\bin the form (?:of|`|")/i, reason: "plain English" },
      { match: /\bNormali[sz]ation Forms?\b/i, reason: "Unicode's own name" },
      { match: /^admin-form-posts$/, reason: "an HTML form" },
    ],
  },
  {
    word: "say, said (a translation)",
    write: "translate, encode; in a message: log, report, state",
    parts: ["say", "says", "said", "saying"],
    within: /^packages\/(?:core|vendors|client|relay|log|node|testing)\/src\//,
    phrases:
      /\b(?:says?|said|saying) (?:(?:it|them|this|an? event|the event|events|each) )?in (?:its|their|the|each|another|a vendor|every)\b|\b(?:is|are|was|were|be|been|being|not|and) said\b|\bsaid (?:in|as|by|to|with) \b/i,
  },
  {
    word: "book",
    write: "ledger",
    parts: ["book", "books"],
    phrases: /\b(?:book|books)\b/i,
    exceptions: [
      { match: /^booksBalance$/, reason: "a field of a figure that issues name" },
      { match: /^address-?book$/i, reason: "plain English" },
    ],
  },
  {
    word: "ring (of keys)",
    write: "key set",
    parts: ["ring", "rings"],
    phrases: /\brings?\b/i,
    exceptions: [
      { match: /^ring_?buffers?$/i, reason: "the field's word" },
      { match: /\bring[- ]buffers?\b/i, reason: "the field's word" },
    ],
  },
  {
    word: "repeat (a duplicate)",
    write: "duplicate",
    parts: ["repeat", "repeats"],
    within: /^packages\//,
    phrases:
      /\b(?:a|an|the|each|every|no|as|of|for|one|any|its|same|such|this|first|second|by|all|late|vendor's|knows|known|finds|found|names|counts|drops) repeats?\b|\brepeats? (?:is|are|was|were|of|that|within|shows?|counts?|acts?)\b/i,
    exceptions: [{ match: /^repeat\($/, reason: "a method of String" }],
  },
  {
    word: "ask, question (to a vendor)",
    write: "passthrough request",
    parts: ["ask", "asks", "question", "questions"],
    within: /^packages\/[^/]+\/src\//,
    phrases:
      /\bquestions?\b|\b(?:an?|the|each|every|such|no) ask\b|\bask(?:s|ed|ing)? (?:the|a|its|every|each|our|that|another) vendors?\b(?!')|\bvendors? (?:is|are|was|were) asked\b/i,
    exceptions: [
      { match: /\bquestion marks?\b/i, reason: "plain English" },
      {
        match: /\*\*Question\.\*\*|\b(?:a|the) question (?:is|of) (?:whether|what|how|time)\b/i,
        reason: "what a decision was made about",
      },
    ],
  },
  {
    word: "letter (an id)",
    write: "dead letter, deadLetterId",
    names: /^_?letters?$|^_?letters?(?:Id|Ids|Of|Text|In|Faults|Max|Path)$|^LETTERS(?:_|$)|^withLetters$/,
    within: /^packages\/(?:log|relay|core)\/(?:src|test)\/|^packages\/cli\/src\//,
    phrases:
      /\b(?:the|a|of|these|those|its|each|every|no|such|damaged|waiting|chosen|named|more|one|last|first|which|with|whole|show|many|all|by) letters?\b(?! (?:and|or) (?:digits?|numbers?))|(?<![\w-])--letter\b|(?<!dead(?:-| ))\bletters (?:are|cannot|at most|whose|whole|that (?:are|were))\b|[?&]letter=/,
    exceptions: [
      {
        match: /^letters$/,
        files:
          /^packages\/relay\/(?:src\/delivery\/stored-replay|test\/(?:delivery\/stored-replay|lifecycle\/damaged-directory)\.test)\.ts$/,
        reason: "a key in the replays that earlier versions stored",
      },
      {
        match: /^letter$/,
        files:
          /^packages\/relay\/test\/(?:config\/warnings|delivery\/fates|intake\/(?:hostile-events|vendors))(?:\.heavy)?\.test\.ts$/,
        reason: "the vendor's name",
      },
      { match: /\bdestinations of letter;/, reason: "the vendor's name" },
      { match: /\b(?:capital|small|upper-case|lower-case|case of|first) letters?\b/i, reason: "of the alphabet" },
      {
        match: /\b(?:first|last) letter of\b|\bletters? of (?:the alphabet|a word|the type)\b/i,
        reason: "of the alphabet",
      },
      {
        match: /^letters?$/,
        files: /^packages\/log\/src\/lanes\/dead-letter(?:s|-marks|-values)\.ts$/,
        reason: "the stored keys of a mark and of a record of dead letters, whose file format is fixed",
      },
    ],
  },
  {
    word: "evidence",
    write: "inspection; or what it is: a trace, a count, a proof",
    parts: ["evidence"],
    phrases: /\bevidence\b/i,
  },
  {
    word: "accepts (noun)",
    write: "ingest requests",
    names: /^#?accepts$/,
    phrases:
      /\b(?:of|for|while|when|during|between|disk|slow|slows|stalls|and|p99|which|the) accepts\b(?! (?:a|an|the|it|them|any|no|only|every|each|events?|requests?)\b)|\baccepts (?:are|were|would|feel|waits?|stalls?|during|and delivers)\b/i,
  },
  {
    word: "stands",
    write: "is, is stored, is written, overrides",
    parts: ["stand", "stands", "stood"],
    phrases: /\b(?:stands?|stood|standing)\b/i,
    exceptions: [
      { match: /\bstand-ins?\b|\bstand-?alone\b/i, reason: "plain English" },
      { match: /\b(?:stands?|stood|standing) (?:in )?for\b/i, reason: "plain English: represents" },
      { match: /\bwhere (?:\w+ ){1,3}stands?\b[.,;:]?$/i, reason: "plain English" },
    ],
  },
  {
    word: "behind",
    write: "after, following, past",
    parts: ["behind"],
    phrases: /\bbehind\b/i,
    exceptions: [
      { match: /^isBehind$|^behindBy$/, reason: "a lane's lag, the field's word" },
      {
        match:
          /\bbehind (?:(?:a|an|the|your|our|its|one|another|some) )?(?:[\w-]+ )?(?:proxy|proxies|load balancers?|firewall|NAT|CDN|gateway|network|address)\b/i,
        reason: "a place in a network",
      },
      { match: /\bbehind the scenes\b/i, reason: "idiom" },
      { match: /\bbehind (?:a|the|one|its) relay\b/i, reason: "a place in a network" },
      { match: /\b(?:leaves?|left|leaving) (?:[\w']+ ){1,4}behind\b/i, reason: "idiom" },
      { match: /\b(?:fall|falls|fell|fallen|falling|lag|lags|lagging|far) behind\b/i, reason: "a lane's lag" },
      {
        match:
          /\b(?:left|leave|leaves|leaving|is|are|was|be|still|stay|stays) behind\b(?! (?:the|a|an|its|it|one|that|this|them|another)\b)/i,
        reason: "a lane's or a clock's lag; what is left over",
      },
    ],
  },
  {
    word: "told",
    write: "reported (to); distinguished; logged",
    parts: ["told"],
    phrases: /\btold\b/i,
  },
  {
    word: "twin",
    write: "emulator",
    parts: ["twin", "twins"],
    phrases: /\btwins?\b/i,
  },
  {
    // The log's engine is the disk or Kafka: a key of the configuration.
    word: "engine (of delivery)",
    write: "which one: lane, sender, pipeline",
    phrases: /\b(?:delivery|sending|queue|event|relay(?:'s)?) engines?\b|\bengines? of (?:delivery|the relay)\b/i,
  },
  {
    word: "is no X",
    write: "is not an X",
    phrases:
      /(?<!\b(?:there|can|could|may|might|must|will|would|should) )\b(?:is|are|was|were|be|being) no (?!longer\b|more\b|less\b|later\b|earlier\b|fewer\b|larger\b|slower\b|faster\b|older\b|newer\b|further\b|better\b|worse\b|wider\b|deeper\b|higher\b|lower\b|smaller\b|different\b|matter\b|use\b|one\b|good\b|doubt\b|-)/i,
  },
];
