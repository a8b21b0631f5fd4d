package kubectl

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"cargoship.dev/operator/internal/cli"
	"cargoship.dev/operator/internal/kubectl/view"
)

// wide is the output with all columns.
const wide = "wide"

// output is the flag -o.
type output struct{ format string }

// formats are the words that it takes.
func formats() []string { return []string{"json", "name", wide, "yaml"} }

func (o *output) add(cmd *cobra.Command) {
	cmd.Flags().VarP(o, "output", "o", "print json, yaml, name or wide instead of a table")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats(), cobra.ShellCompDirectiveNoFileComp))
}

// String, Set and Type implement pflag.Value.
func (o *output) String() string { return o.format }

// Set takes one of the formats.
func (o *output) Set(text string) error {
	if !slices.Contains(formats(), text) {
		return fmt.Errorf("must be %s", strings.Join(formats(), ", "))
	}
	o.format = text
	return nil
}

// Type is shown in the help.
func (o *output) Type() string { return "word" }

// machine tells whether programs read the output.
func (o *output) machine() bool { return o.format != "" && o.format != wide }

// print writes objects, a list of them unless one was asked for by its name.
func (o *output) print(w io.Writer, items []item, one bool) error {
	if o.format == "name" {
		for _, item := range items {
			if _, err := fmt.Fprintln(w, strings.ToLower(item.run.Kind)+"."+item.GetObjectKind().GroupVersionKind().Group+"/"+item.GetName()); err != nil {
				return err
			}
		}
		return nil
	}
	if one {
		return printObject(w, items[0].Object, o.format)
	}
	list := struct {
		metav1.TypeMeta `json:",inline"`
		Items           []client.Object `json:"items"`
	}{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "List"}, Items: []client.Object{}}
	for _, item := range items {
		item.SetManagedFields(nil)
		list.Items = append(list.Items, item.Object)
	}
	return printObject(w, list, o.format)
}

func printObject(w io.Writer, object any, format string) error {
	if o, ok := object.(client.Object); ok {
		o.SetManagedFields(nil)
	}
	if format == "yaml" {
		text, err := yaml.Marshal(object)
		if err == nil {
			_, err = w.Write(text)
		}
		return err
	}
	lines := json.NewEncoder(w)
	lines.SetIndent("", "    ")
	return lines.Encode(object)
}

// terminal is what an output goes to, with what the environment says of it.
func terminal(w io.Writer) view.Terminal {
	columns, _ := size(w)
	if columns == 0 {
		return view.Terminal{Unicode: utf8Locale()}
	}
	return view.Terminal{Width: columns, Color: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb", Unicode: utf8Locale()}
}

// height is that of the terminal in lines, 0 for none.
func height(w io.Writer) int {
	_, lines := size(w)
	return lines
}

func size(w io.Writer) (columns, lines int) {
	f, ok := w.(interface{ Fd() uintptr })
	if !ok {
		return 0, 0
	}
	columns, lines, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0, 0
	}
	return columns, lines
}

// utf8Locale tells whether the locale has UTF-8, by the first variable that is set, as setlocale(3) does.
func utf8Locale() bool {
	if runtime.GOOS == "windows" {
		return true
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := strings.ToUpper(os.Getenv(name)); value != "" {
			return strings.Contains(value, "UTF-8") || strings.Contains(value, "UTF8")
		}
	}
	return false
}

// oneLine is an error in one line that no byte of leaves raw.
func oneLine(err error) string {
	return cli.Printable(strings.ReplaceAll(strings.TrimSpace(err.Error()), "\n", "; "))
}
