// Package charts holds the Helm chart, and the tests of it.
package charts
