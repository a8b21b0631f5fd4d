// Package browser tests the page of `kubectl cargoship ui` in headless Chromium, while a
// transfer runs on this machine. It is a module of its own, and knows the product by its
// programs only: `make test-ui` builds them.
package browser
