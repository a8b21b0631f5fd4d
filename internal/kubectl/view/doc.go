// Package view turns what is known of transfers into text for a terminal or a pipe. Its
// functions are pure: objects, a time and a terminal in, text out.
package view
