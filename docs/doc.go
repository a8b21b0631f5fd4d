// Package docs holds the pages, and the tests of what they say.
package docs
