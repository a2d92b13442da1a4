// The page's words. Chinese is the language of the page; English stands beside it.

const WORDS = {
  title: ["政策文本标注", "Policy tagging"],
  skip: ["跳到正文", "Skip to content"],
  api: ["接口文档", "API"],
  model: ["模型 {version}", "Model {version}"],
  input: ["要标注的文本", "Text to tag"],
  paste: ["粘贴文本，或把文件拖到这里", "Paste text, or drop a file here"],
  placeholder: ["例如：对入驻孵化器的生物医药企业给予三年租金补贴。", "For example: 对入驻孵化器的生物医药企业给予三年租金补贴。"],
  tag: ["标注", "Tag"],
  choose: ["选择文件…", "Choose a file…"],
  sample: ["示例", "Sample"],
  pick: ["请选择", "Choose"],
  size: ["{n} 字", "{n} characters"],
  keyLabel: ["服务器要求 API 密钥", "The server asks for an API key"],
  keySend: ["继续", "Continue"],
  keyNote: ["只保存在本标签页内，关闭后即清除。", "Kept in this tab alone and forgotten when it is closed."],
  cancel: ["取消", "Cancel"],
  close: ["关闭", "Close"],
  reading: ["正在读取《{name}》…", "Reading “{name}”…"],
  working: ["正在标注《{name}》…", "Tagging “{name}”…"],
  progress: ["{done} / {all} 段", "{done} of {all} paragraphs"],
  done: ["《{name}》已标注完成。", "“{name}” is tagged."],
  rest: ["还有 {n} 段未标注；图表和下载只含已标注的段落。", "Paragraphs not tagged yet: {n}. Chart and downloads hold the others."],
  goOn: ["继续标注", "Go on"],
  unsent: ["有修正尚未提交，换一篇会丢失。仍要继续吗？", "A correction was not sent and will be lost. Go on?"],
  pending: ["未标注", "Not tagged yet"],
  seconds: ["{n} 秒", "{n} s"],
  pasted: ["粘贴的文本", "Pasted text"],
  summary: ["全文概况", "The document"],
  strip: ["全文分布", "Through the document"],
  stripGroups: ["每格为相邻的若干段，宽度为字数，颜色取其中最多的标签；上行政策工具，下行涉及行业。", "A cell some neighbouring paragraphs, as wide as their text, in the colour of their commonest tag; instruments above, industries below."],
  stripAbout: ["每格一段，宽度为字数；上行政策工具，下行涉及行业。", "A cell a paragraph, as wide as its text; instruments above, industries below."],
  instruments: ["政策工具", "Instruments"],
  industries: ["涉及行业", "Industries"],
  shareAbout: ["占全文字数的比例；点选可筛选段落。", "Share of the text; select to filter."],
  share: ["{name}：占 {share}，{n} 段", "{name}: {share} of the text, paragraphs: {n}"],
  noTags: ["无标签", "No tags"],
  counts: ["{n} 段 · {chars} 字 · {untagged} 段无标签", "{n} paragraphs · {chars} characters · {untagged} without tags"],
  corrected: ["已修正 {n} 段", "{n} corrected"],
  rejected: ["{n} 行未能读取", "{n} rows could not be read"],
  paragraphs: ["段落", "Paragraphs"],
  shown: ["显示 {shown} / {all} 段", "{shown} of {all} paragraphs"],
  clear: ["清除筛选", "Clear filter"],
  furniture: ["显示页面附加信息", "Show page furniture"],
  none: ["没有符合筛选条件的段落。", "No paragraph matches the filter."],
  empty: [
    "标注后，这里按段落列出政策工具和涉及行业，标出依据，并给出全文的分布。",
    "Tagged paragraphs appear here, with instruments, industries, the words they rest on, and a chart of the document.",
  ],
  nothing: ["没有可标注的文字。请先粘贴文本或选择文件。", "There is no text to tag. Paste some or choose a file."],
  noParagraphs: ["《{name}》里没有读到段落。", "No paragraphs were found in “{name}”."],
  again: ["另一篇", "Another text"],
  download: ["下载", "Download"],
  truncated: ["过长，只读了开头", "Too long: only its beginning was read"],
  evidence: ["{name}，依据：{words}", "{name} rests on: {words}"],
  noEvidence: ["{name}：找不到单独起作用的词语", "{name}: no single words carry it"],
  correct: ["修正", "Correct"],
  correctLabel: ["修正第 {n} 段的标签", "Correct the tags of paragraph {n}"],
  send: ["提交修正", "Send correction"],
  sent: ["第 {n} 段的修正已保存。", "The correction of paragraph {n} is saved."],
  isCorrected: ["已修正", "Corrected"],
  unreachable: ["连不上服务器。请检查网络，稍后再试。", "The server cannot be reached. Check the network and try again."],
  unauthorized: ["密钥无效。", "The server does not know this key."],
  body_too_large: ["内容超过服务器的上限，请分几次标注。", "This is more than the server takes. Tag it in parts."],
  too_many_paragraphs: ["段落数超过服务器的上限，请分几次标注。", "These are more paragraphs than the server takes. Tag them in parts."],
  table_too_large: ["表格超过 XLSX 下载的上限，请下载 CSV。", "The table is too large for XLSX here. Save it as CSV."],
  unsupported_media_type: ["不支持这种文件。请改用 txt、docx、pdf、html、xlsx 等格式。", "Files of this kind are not read. Use txt, docx, pdf, html or xlsx."],
  unreadable_document: ["读不了这个文件：{message}", "This file cannot be read: {message}"],
  overloaded: ["服务器正忙，请稍后再试。", "The server is busy. Try again shortly."],
  deadline_exceeded: ["处理时间过长，请分几次标注。", "It took too long. Tag it in parts."],
  store_unavailable: ["修正暂时无法保存，请稍后再试。", "Corrections cannot be kept now. Try again later."],
  not_ready: ["模型尚未就绪，请稍后再试。", "The model is not ready. Try again shortly."],
  internal_error: ["服务器出错，请联系管理员。", "The server failed. Tell its administrator."],
  model_output_invalid: ["模型没有给出可用的结果，请联系管理员。", "The model gave no usable answer. Tell the administrator."],
  failed: ["未能完成（{code}）：{message}", "Failed ({code}): {message}"],
  col_index: ["序号", "No."],
  col_headings: ["所在标题", "Headings"],
  col_text: ["段落", "Paragraph"],
  col_scores: ["分数", "Scores"],
};

const LANGUAGES = ["zh-CN", "en"];
let current = localStorage.getItem("policytag.language") === "en" ? 1 : 0;

export const language = () => LANGUAGES[current];

/** t("size", { n: 12 }) -> "12 字". */
export function t(key, values = {}) {
  return WORDS[key][current].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

export const has = (key) => Object.hasOwn(WORDS, key);

/** A label's name in the page's language. */
export const nameOf = (label) => (current ? label.name_en : label.name_zh);

export function switchLanguage() {
  current = 1 - current;
  localStorage.setItem("policytag.language", current ? "en" : "zh");
}

/** Writes the words into the elements that name them. */
export function translate(root = document) {
  document.documentElement.lang = language();
  document.title = t("title");
  for (const node of root.querySelectorAll("[data-i18n]")) node.textContent = t(node.dataset.i18n);
  for (const node of root.querySelectorAll("[data-i18n-label]")) node.setAttribute("aria-label", t(node.dataset.i18nLabel));
  for (const node of root.querySelectorAll("[data-i18n-placeholder]")) node.placeholder = t(node.dataset.i18nPlaceholder);
}

export const percent = (share) =>
  share > 0 && share < 0.005 ? "<1%" : share.toLocaleString(language(), { style: "percent" });
