package browser

import (
	"strings"
	"testing"
)

// focusable are the elements that a keyboard has to reach.
const focusable = `[...document.querySelectorAll('a[href], button, summary, input, [tabindex="0"]')].filter((e) =>
	e.checkVisibility() && (e.type !== 'radio' || e.checked))`

// keyboard walks through the page with the tab key alone.
func (s *story) keyboard(t *testing.T) {
	s.do(t, evaluate(`document.activeElement.blur(); scrollTo(0, 0); window.getSelection().removeAllRanges()`))
	s.do(t, focus(`.skip`))
	want := value[int](t, s.page, focusable+`.length`)
	reached, names := 1, map[string]bool{}
	s.do(t, evaluate(`window.reached = new Set([document.activeElement])`))
	for range 2 * want {
		s.press(t, tab)
		name := value[string](t, s.page, `(() => {
			const e = document.activeElement;
			if (e === document.body) return 'out';
			window.reached.add(e);
			const label = e.getAttribute('aria-label') ?? e.closest('label')?.textContent ?? e.textContent;
			const outline = getComputedStyle(e.type === 'radio' ? e.nextElementSibling : e);
			return (label.trim() === '' ? 'nameless ' + e.outerHTML : label.trim()) + (outline.outlineStyle === 'none' ? ' without an outline' : '');
		})()`)
		if name == "out" {
			break
		}
		names[name] = true
		reached++
	}
	for name := range names {
		if strings.HasPrefix(name, "nameless") || strings.HasSuffix(name, "without an outline") {
			t.Errorf("focus on %s", name)
		}
	}
	t.Logf("%d steps of the tab key over %d elements", reached, want)
	if left := value[string](t, s.page, focusable+`.filter((e) => !window.reached.has(e)).map((e) => e.outerHTML.slice(0, 120)).join('\n')`); left != "" {
		t.Errorf("of %d elements the tab key does not reach:\n%s", want, left)
	}
	s.sliders(t)
}

// sliders move through the time of a curve, and say where they are.
func (s *story) sliders(t *testing.T) {
	s.do(t, focus(`[data-chart=throughput]`))
	at := `Number(document.querySelector('[data-chart=throughput]').getAttribute('aria-valuenow'))`
	s.press(t, home)
	s.wait(t, at+` === 0`)
	s.press(t, arrowRight)
	s.wait(t, at+` === 1`)
	if text := value[string](t, s.page, `document.activeElement.getAttribute('aria-valuetext')`); !strings.Contains(text, "B/s") {
		t.Errorf("the slider says %q", text)
	}
	s.press(t, escape)
	s.wait(t, at+` > 1`)
}

// readable checks what a screen reader, weak eyes and a telephone need.
func (s *story) readable(t *testing.T) {
	for _, scheme := range []string{"dark", "light"} {
		s.colors(t, scheme)
		if faults := value[string](t, s.page, faults); faults != "" {
			t.Errorf("in %s colors:\n%s", scheme, faults)
		}
	}
	for _, width := range []int64{320, 800, 2400} {
		s.size(t, width, 900)
		s.wait(t, `document.documentElement.scrollWidth <= innerWidth`)
	}
	s.size(t, 1440, 1000)
}

// faults are what is wrong with the page by WCAG 2.2: text alternatives (1.1.1), structure
// (1.3.1), contrast (1.4.3), names (4.1.2).
const faults = `(() => {
	const out = [];
	const check = (selector, is, fault) => document.querySelectorAll(selector).forEach((e) => { if (!is(e)) out.push(fault + ': ' + e.outerHTML.slice(0, 160)); });
	check('html', (e) => e.lang !== '', 'no language');
	check('img', (e) => e.hasAttribute('alt'), 'no text alternative');
	check('svg', (e) => e.getAttribute('aria-hidden') === 'true' || e.hasAttribute('aria-label'), 'a drawing that is neither named nor hidden');
	check('.plot', (e) => e.closest('figure').querySelector('table') !== null, 'a curve without a table');
	check('input', (e) => e.labels.length > 0, 'no label');
	check('th', (e) => e.hasAttribute('scope'), 'a head of nothing');
	check('progress', (e) => e.hasAttribute('aria-label'), 'a nameless progress');
	check('[role=region], section[aria-label], nav, fieldset', (e) => e.hasAttribute('aria-label') || e.querySelector('legend'), 'a nameless region');
	const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
	if (new Set(ids).size !== ids.length) out.push('an id twice');
	for (const once of ['main', 'h1', 'title']) if (document.querySelectorAll(once).length !== 1) out.push('not one ' + once);
	let level = 0;
	for (const h of document.querySelectorAll('h1, h2, h3')) {
		const at = Number(h.tagName[1]);
		if (at > level + 1) out.push('a heading of level ' + at + ' below one of level ' + level);
		level = at;
	}
	const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4).reduce((l, c, i) => l + c * [0.2126, 0.7152, 0.0722][i], 0);
	const color = (text) => (text.match(/[\d.]+/g) ?? []).map(Number);
	const ground = (e) => { for (; e; e = e.parentElement) { const c = color(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] > 0) return c; } return [255, 255, 255]; };
	const ratios = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
	for (const e of document.querySelectorAll('body *')) {
		if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim() !== '') || !e.checkVisibility() || e.closest('.heard, .skip, noscript')) continue;
		const style = getComputedStyle(e);
		const ratio = ratios(light(color(e instanceof SVGElement ? style.fill : style.color)), light(ground(e instanceof SVGElement ? e.closest('div') : e)));
		if (ratio < 4.5) out.push('contrast ' + ratio.toFixed(2) + ': ' + e.outerHTML.slice(0, 100));
	}
	return [...new Set(out)].join('\n');
})()`
