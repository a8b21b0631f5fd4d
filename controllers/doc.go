// Package controllers holds nothing but the tests of its two controllers together, against
// an API server: lifecycle, for one transfer, and coordinator, for one destination.
package controllers
