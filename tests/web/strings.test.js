// @ts-check
import assert from "node:assert/strict";
import { suite, test } from "node:test";

import { known, LANGUAGES, translator } from "../../web/strings.js";

/** @import { Key, Text } from "../../web/strings.js" */

const { en, ...others } = LANGUAGES;

/** @param {Text} text */
const forms = (text) => (typeof text === "string" ? [text] : Object.values(text));

/** @param {Text} text */
const places = (text) => new Set(forms(text).flatMap((form) => [...form.matchAll(/\{(\w+)\}/g)].map((match) => match[1])));

for (const [language, texts] of Object.entries(others)) {
  suite(`the texts in ${language}`, () => {
    test("have the keys of the English ones, in their order", () => {
      assert.deepEqual(Object.keys(texts), Object.keys(en));
    });

    test("have the places for values of the English ones", () => {
      for (const [key, text] of Object.entries(texts)) {
        const [ours, english] = [places(text), places(en[/** @type {Key} */ (key)])];
        ours.delete("count"); // "one mistake" needs no figure
        english.delete("count");
        assert.deepEqual(ours, english, key);
      }
    });

    test("are translated", () => {
      const same = Object.entries(texts).filter(([key, text]) => forms(text).join() === forms(en[/** @type {Key} */ (key)]).join());
      const words = same.filter(([, text]) => /[a-z]{3}/.test(forms(text).join().replace(/\{\w+\}|Python|ComfyUI|VRAM|CPU|OpenAPI|PyPI|PyTorch|conda|pixi/gi, "")));
      assert.deepEqual(words, []);
    });
  });
}

test("every text says something", () => {
  for (const [language, texts] of Object.entries(LANGUAGES)) {
    for (const [key, text] of Object.entries(texts)) {
      for (const form of forms(text)) assert.ok(form.trim() === form && form !== "", `${language} ${key}`);
    }
  }
});

suite("a translator", () => {
  test("puts values in their places, as they are", () => {
    assert.equal(translator("en")("frame.became", { pack: "{state} $&", state: "Ready" }), "{state} $&: Ready.");
  });

  test("counts as the language does", () => {
    assert.equal(translator("en")("packs.nodes", { count: 1 }), "1 node");
    assert.equal(translator("en")("packs.nodes", { count: 0 }), "0 nodes");
    assert.equal(translator("zh")("packs.nodes", { count: 1 }), "1 个节点");
  });

  test("takes any tag of its language, and English for others", () => {
    for (const [tag, code] of [["zh-CN", "zh"], ["zh_TW", "zh"], ["EN-gb", "en"], ["fr", "en"], ["", "en"]]) {
      assert.equal(known(tag), code, tag);
    }
  });
});
