// render prints what a Helm chart gives, as `helm template` does, with Helm's own packages: values are checked against the chart's schema.
//
//	render CHART NAMESPACE [VALUES-FILE]...
package main

import (
	"fmt"
	"os"
	"sort"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: render CHART NAMESPACE [VALUES-FILE]...")
		os.Exit(64)
	}
	if err := render(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, "render:", err)
		os.Exit(1)
	}
}

func render(folder, namespace string, files []string) error {
	chart, err := loader.Load(folder)
	if err != nil {
		return err
	}
	// Later files win over earlier ones, and all of them over the chart's own.
	given := chartutil.Values{}
	for _, file := range files {
		values, err := chartutil.ReadValuesFile(file)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		given = chartutil.MergeTables(values, given)
	}
	release := chartutil.ReleaseOptions{Name: "weir", Namespace: namespace, IsInstall: true, Revision: 1}
	// ToRenderValues holds the values against values.schema.json.
	values, err := chartutil.ToRenderValues(chart, given, release, chartutil.DefaultCapabilities)
	if err != nil {
		return err
	}
	out, err := engine.Engine{Strict: true}.Render(chart, values)
	if err != nil {
		return err
	}
	names := make([]string, 0, len(out))
	for name := range out {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if strings.HasSuffix(name, ".yaml") && strings.TrimSpace(out[name]) != "" {
			fmt.Printf("---\n# %s\n%s\n", name, out[name])
		}
	}
	return nil
}
