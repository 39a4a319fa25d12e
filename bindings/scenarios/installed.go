//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// The ways of drivers with packages that internal/packages has installed. Each makes
// sure that the package is the installed one.

// installedJS runs the driver from the folder that npm installed into: nothing but the
// name says where the package is.
func installedJS(dir string) way {
	folder := filepath.Join(dir, "js")
	return way{
		needs:   []string{"node"},
		command: func(_, _ string) []string { return []string{"node", filepath.Join(folder, "driver.mjs")} },
		build: func(ctx context.Context, root, _ string) error {
			text, err := os.ReadFile(driver(root, "driver.mjs"))
			if err != nil {
				return fmt.Errorf("read the driver: %w", err)
			}
			if err := os.WriteFile(filepath.Join(folder, "driver.mjs"), text, 0o644); err != nil {
				return fmt.Errorf("the package is not installed (go run ./internal/packages install js): %w", err)
			}
			return run(ctx, folder, "node", "--print", `
				const is = path.dirname(require.resolve('libvegas')), wanted = path.resolve('node_modules/libvegas');
				if (is !== wanted) throw new Error('libvegas is '+is+', which should be '+wanted+': go run ./internal/packages install js');`)
		},
	}
}
