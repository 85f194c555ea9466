// Every word of the page, in English and Chinese. t("key", {name: value}) fills in {name}.

const TEXTS = {
  en: {
    network: "Network", compare: "Compare with", nothing: "–", docs: "API", theme: "Light or dark",
    language: "中文", picture: "Your picture", answer: "The answer",
    padLabel: "Drawing area. With the keyboard: arrow keys move the pen, hold Space to draw.",
    hintInk: "Draw a digit here", hintPicture: "Drop or paste a picture, or draw",
    undo: "Undo", clear: "Clear", colour: "Colour of the pen", file: "Open a picture", camera: "Camera", shelf: "Pictures of the test set",
    seen: "What the network sees", seenInk: "scaled and centred as its training data: {size} pixels", seenPicture: "your picture at {size} pixels",
    empty: "nothing yet", sure: "{p} sure",
    status: "Draw or pick a picture. Then point at any cell, or click it.",
    point: "Point at a cell: what it sees lights up. A click shows its arithmetic.",
    at: "{layer} · map {map} · row {row}, column {column}", atNumber: "{layer} · number {map}", about: "≈ {value}",
    sees: "sees {h} × {w} pixels", seesAll: "sees the whole picture",
    parameters: "{n} parameters", oneParameter: "1 parameter", input: "input", moreMaps: "all {n} maps", fewerMaps: "fewer",
    loading: "asking…", layerLabel: "{layer}, {n} maps of {h} by {w} cells. Arrow keys walk over the cells, Page Up and Page Down over the maps, Enter shows the arithmetic, Z enlarges.",
    tabCell: "Cell", tabWhy: "Why?", tabChange: "Change its mind", tabDream: "Dream", tabLearn: "Learn",
    how1: "Draw", how1t: "or drop a picture. The network answers while you draw.",
    how2: "Point", how2t: "at any cell of any map: what it sees of the picture lights up.",
    how3: "Click", how3t: "and read its arithmetic: every product, the bias, the sum.",
    example: "Show me one",
    window: "window", kernel: "kernel", productsOf: "products", channel: "map {n} of {layer}", sumOf: "adds {value}",
    allChannels: "what each of the {n} maps before it adds", bias: "bias", sum: "sum", value: "value", total: "sum of {n} products",
    agrees: "worked out here: {value}; by the replay in NumPy: {replay}", differs: "worked out here: {value}, but the replay says {replay}",
    then: "then", wins: "{value} wins", padding: "grey cells are padding", ofN: "{n} numbers, their mean", enlarge: "Enlarge",
    largest: "the largest products", prev: "previous", next: "next",
    mapOf: "{layer}, map {map}", range: "from {low} to {high}", kernelOf: "its kernel, {n} × {u} × {v}", dreamMap: "Dream this map", close: "Close",
    method: "Method", "grad-cam": "Grad-CAM", "integrated-gradients": "Integrated gradients", occlusion: "Occlusion", saliency: "Saliency",
    ofClass: "Evidence for", itsAnswer: "its answer", strength: "Strength", whyText: "Warm speaks for “{class}”, cool against it.",
    "why-grad-cam": "Grad-CAM: where the last maps raise the logit of “{class}”.", "why-integrated-gradients": "Integrated gradients: each pixel's share of the logit of “{class}”, on the way from black.",
    "why-occlusion": "Occlusion: how much the logit of “{class}” loses where a patch is covered.", "why-saliency": "Saliency: where a small change moves the logit of “{class}” most.",
    noMethods: "Explanations need Captum: pip install \".[explain]\"",
    towards: "Towards", anyClass: "any other", find: "Find the smallest change", changeText: "The smallest change found that turns “{from}” into “{to}”: no pixel moves by more than {most} of the full scale.",
    changeNone: "No change of this size turns it into “{to}”.", changeStart: "How little must change until it answers differently?", amount: "How much of the change", difference: "the change × {n}",
    dreamOf: "Dream of", dream: "Dream", dreamText: "What raises “{class}” most, from noise; the network is {p} sure that this is “{answer}”.", dreamStart: "What would the network like to see best? It paints from noise, for some seconds.",
    again: "Again", use: "Use as picture",
    trueClass: "This is really", learnStart: "Say what the picture truly shows: how wrong is the network, and what would one step of learning change?",
    loss: "loss", lossText: "loss −ln p = {loss}, with p = {p}", rate: "learning rate {rate}", step: "Step", back: "Take it back", reset: "Start over",
    wouldBe: "one step would make p {p}", gradients: "How strongly each layer pulls: |∂L/∂map| and |∂L/∂kernel|", layer: "layer", maps: "maps", kernels: "kernels",
    stepsTaken: "steps so far: {n}, on a copy; the network itself stays as it is", moved: "moved {p}",
    gradientOf: "gradient of the maps of {layer}",
    samples: "Pictures of the test set", worst: "its worst mistakes", noMistakes: "It makes no mistake here.", noneHere: "There is none.", any: "any", truth: "really {label}", says: "says {answer}", noSamples: "The test set of this run is not on this machine.", more: "More",
    take: "Take the picture", noCamera: "There is no camera that may be used: {why}",
    askToken: "This service asks for its token.", noToken: "This service answers only with its token. Load the page again to enter it.", ok: "OK",
    agree: "Both say {answer}.", disagree: "{a} says {x}, {b} says {y}.",
    unreachable: "The service does not answer. Is it still running?", notPicture: "This is not a picture.",
    numbersOnly: "This network takes rows of numbers; enter them, separated by commas.", row: "Row", ask: "Ask",
    wrong: "Wrong? It is", thanks: "Kept, thank you.", findClass: "find a class", moreFound: "… and {n} more: find them by name",
  },
  zh: {
    network: "网络", compare: "对比", nothing: "–", docs: "接口", theme: "浅色或深色",
    language: "English", picture: "你的图片", answer: "网络的回答",
    padLabel: "绘图区。键盘操作：方向键移动画笔，按住空格键画线。",
    hintInk: "在这里写一个数字", hintPicture: "拖入或粘贴图片，也可以画",
    undo: "撤销", clear: "清空", colour: "画笔颜色", file: "打开图片", camera: "拍照", shelf: "测试集图片",
    seen: "网络看到的", seenInk: "按训练数据的方式缩放居中：{size} 像素", seenPicture: "你的图片，{size} 像素",
    empty: "还没有", sure: "把握 {p}",
    status: "先画一笔或选一张图，再指向或点击任意一个格子。",
    point: "指向一个格子，它看到的区域会亮起；点击可看它的算式。",
    at: "{layer} · 第 {map} 张图 · 第 {row} 行第 {column} 列", atNumber: "{layer} · 第 {map} 个数", about: "≈ {value}",
    sees: "看到 {h} × {w} 像素", seesAll: "看到整张图",
    parameters: "{n} 个参数", oneParameter: "1 个参数", input: "输入", moreMaps: "全部 {n} 张", fewerMaps: "收起",
    loading: "计算中…", layerLabel: "{layer}，{n} 张特征图，每张 {h}×{w} 格。方向键移动格子，PageUp/PageDown 换图，回车看算式，Z 放大。",
    tabCell: "格子", tabWhy: "为什么", tabChange: "让它改口", tabDream: "梦境", tabLearn: "学习",
    how1: "画", how1t: "一笔，或拖入图片。边画，网络边回答。",
    how2: "指", how2t: "向任意特征图的任意格子：它看到的区域会亮起。",
    how3: "点", how3t: "开它的算式：每个乘积、偏置、总和。",
    example: "给我看一个",
    window: "窗口", kernel: "卷积核", productsOf: "乘积", channel: "{layer} 的第 {n} 张图", sumOf: "合计 {value}",
    allChannels: "前一层 {n} 张图各自的贡献", bias: "偏置", sum: "总和", value: "数值", total: "{n} 个乘积之和",
    agrees: "此页计算：{value}；NumPy 重放：{replay}", differs: "此页计算：{value}，但重放得到 {replay}",
    then: "然后", wins: "{value} 胜出", padding: "灰色格子是填充", ofN: "{n} 个数的平均", enlarge: "放大",
    largest: "最大的几个乘积", prev: "上一张", next: "下一张",
    mapOf: "{layer}，第 {map} 张", range: "从 {low} 到 {high}", kernelOf: "它的卷积核，{n} × {u} × {v}", dreamMap: "看这张图的梦境", close: "关闭",
    method: "方法", "grad-cam": "Grad-CAM", "integrated-gradients": "积分梯度", occlusion: "遮挡", saliency: "显著性",
    ofClass: "支持谁的证据", itsAnswer: "它的回答", strength: "浓度", whyText: "暖色支持“{class}”，冷色反对。",
    "why-grad-cam": "Grad-CAM：最后的特征图在哪里抬高“{class}”的得分。", "why-integrated-gradients": "积分梯度：从全黑开始，每个像素对“{class}”得分的贡献。",
    "why-occlusion": "遮挡：盖住一块时“{class}”的得分损失多少。", "why-saliency": "显著性：哪里的微小变化最能改变“{class}”的得分。",
    noMethods: "解释需要 Captum：pip install \".[explain]\"",
    towards: "改成", anyClass: "任意其他", find: "寻找最小改动", changeText: "找到的最小改动把“{from}”变成“{to}”：没有像素的变化超过满刻度的 {most}。",
    changeNone: "这样大小的改动都不能让它说“{to}”。", changeStart: "要改动多么少，它的回答就会不同？", amount: "改动的比例", difference: "改动 × {n}",
    dreamOf: "梦见", dream: "做梦", dreamText: "从噪声开始，最能抬高“{class}”的图；网络有 {p} 的把握说这是“{answer}”。", dreamStart: "网络最想看到什么？它从噪声画起，要几秒钟。",
    again: "再来", use: "用作图片",
    trueClass: "其实这是", learnStart: "告诉它图片里真正是什么：网络错了多少？学一步会改变什么？",
    loss: "损失", lossText: "损失 −ln p = {loss}，p = {p}", rate: "学习率 {rate}", step: "一步", back: "退一步", reset: "重新开始",
    wouldBe: "走一步后 p 为 {p}", gradients: "每一层的梯度大小：|∂L/∂特征图| 与 |∂L/∂卷积核|", layer: "层", maps: "特征图", kernels: "卷积核",
    stepsTaken: "在副本上走了 {n} 步；网络本身不变", moved: "移动了 {p}",
    gradientOf: "{layer} 各特征图的梯度",
    samples: "测试集图片", worst: "错得最离谱的", noMistakes: "这里它没有答错。", noneHere: "没有图片。", any: "任意", truth: "其实是 {label}", says: "它说 {answer}", noSamples: "这台机器上没有该网络的测试集。", more: "更多",
    take: "拍下", noCamera: "没有可用的摄像头：{why}",
    askToken: "此服务需要口令。", noToken: "没有口令，此服务不回答。请重新载入页面后输入。", ok: "好",
    agree: "两个网络都说 {answer}。", disagree: "{a} 说 {x}，{b} 说 {y}。",
    unreachable: "服务没有回应。它还在运行吗？", notPicture: "这不是图片。",
    numbersOnly: "这个网络的输入是一行数字；请用逗号隔开填写。", row: "一行数字", ask: "提问",
    wrong: "答错了？其实是", thanks: "已保存，谢谢。", findClass: "查找类别", moreFound: "……还有 {n} 个，请按名称查找",
  },
};

let language = localStorage.getItem("hubel-language") ?? (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");

export const spoken = () => language;

export function speak(which) {
  language = which;
  localStorage.setItem("hubel-language", which);
}

export function t(key, values = {}) {
  const text = TEXTS[language][key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

// All that index.html holds: data-t is an element's text, data-l its label.
export function translate() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const e of document.querySelectorAll("[data-t]")) e.textContent = t(e.dataset.t);
  for (const e of document.querySelectorAll("[data-l]")) {
    e.setAttribute("aria-label", t(e.dataset.l));
    e.title = t(e.dataset.l);
  }
}

export const number = (n) => n.toLocaleString(language === "zh" ? "zh-CN" : "en");
export const share = (p) => (p > 0.9995 && p < 1 ? ">99.9 %" : p < 0.0005 && p > 0 ? "<0.1 %" : `${(100 * p).toFixed(p < 0.0995 ? 1 : p > 0.9995 ? 0 : 1)} %`);

// A number in few digits, with a true minus.
export function digits(v, most = 3) {
  if (v === null || v === undefined) return "−∞";
  const size = Math.abs(v);
  let text = size !== 0 && (size < 0.001 || size >= 1e5) ? v.toExponential(most - 1) : String(Number(v.toPrecision(most)));
  if (size < 10 ** -most && size < 0.0005 && most <= 2) text = "0";
  return text.replace("-", "−");
}
