package io.libvegas.internal;

import io.libvegas.VegasException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Set;

/**
 * The engine's binary inside the package. A resource cannot be started, so it is unpacked
 * once, into a folder that only this user can write and that is named by its hash. What
 * lies there is trusted only if its hash is right.
 */
public final class Binary {
    private static final String NAME = "vegas-engine" + (platform().startsWith("windows") ? ".exe" : "");
    private static final Set<PosixFilePermission> MINE = PosixFilePermissions.fromString("rwx------");

    private static String found; // of the engines' registry

    private Binary() {}

    /** Where it lies. */
    static String unpacked() {
        if (found != null && Files.exists(Path.of(found))) {
            return found;
        }
        String resource = "META-INF/native/" + platform() + "/" + NAME;
        ClassLoader loader = Binary.class.getClassLoader();
        String digest;
        try (InputStream in = loader.getResourceAsStream(resource + ".sha256")) {
            if (in == null) {
                throw VegasException.of("engine_missing", "the package has no engine for " + platform(),
                    "name one by VEGAS_ENGINE or the option engine", false, null);
            }
            digest = new String(in.readAllBytes(), StandardCharsets.US_ASCII).split("\\s")[0];
        } catch (IOException e) {
            throw VegasException.of("engine_missing", "the package's engine cannot be read: " + e, null, false, e);
        }
        List<String> failures = new ArrayList<>();
        IOException last = null;
        for (Path folder : folders()) {
            try {
                found = unpack(loader, resource, digest, folder).toString();
                return found;
            } catch (IOException e) {
                failures.add(e.toString());
                last = e;
            }
        }
        throw VegasException.of("engine_missing", "the engine cannot be unpacked: " + String.join("; ", failures),
            "name a folder that only this user can write, and that is not mounted noexec, by -Dvegas.dir, or an engine by VEGAS_ENGINE", false, last);
    }

    static String platform() {
        String os = System.getProperty("os.name").toLowerCase(Locale.ROOT);
        String arch = System.getProperty("os.arch").toLowerCase(Locale.ROOT);
        return (os.startsWith("mac") ? "darwin" : os.startsWith("windows") ? "windows" : os)
            + "-" + switch (arch) {
                case "amd64", "x86_64" -> "x64";
                case "aarch64" -> "arm64";
                default -> arch;
            };
    }

    /** Where it may be unpacked to: what the program names, or the user's cache, or the temporary folder. */
    private static List<Path> folders() {
        String given = System.getProperty("vegas.dir");
        if (given != null && !given.isEmpty()) {
            return List.of(Path.of(given).toAbsolutePath());
        }
        List<Path> all = new ArrayList<>();
        String cache = System.getenv("XDG_CACHE_HOME");
        String home = System.getProperty("user.home");
        if (cache != null && cache.startsWith("/")) {
            all.add(Path.of(cache, "vegas"));
        } else if (home != null && home.length() > 1) {
            all.add(Path.of(home, ".cache", "vegas"));
        }
        all.add(Path.of(System.getProperty("java.io.tmpdir"), "vegas-" + System.getProperty("user.name").replaceAll("[^\\w.-]", "_")).toAbsolutePath());
        return all;
    }

    /** Unpacks a resource with that hash below a folder, unless it is there. */
    static Path unpack(ClassLoader loader, String resource, String digest, Path folder) throws IOException {
        Path own = folder.resolve(digest.substring(0, 16));
        makeOwn(folder);
        makeOwn(own);
        Path file = own.resolve(NAME);
        if (right(file, digest)) {
            return startable(file);
        }
        // Whoever comes at the same time writes a file of his own; the last one stays.
        Path fresh = Files.createTempFile(own, NAME, ".new", permissions(own));
        try {
            try (InputStream in = loader.getResourceAsStream(resource); OutputStream out = Files.newOutputStream(fresh)) {
                if (in == null) {
                    throw new IOException("there is no resource " + resource);
                }
                in.transferTo(out);
            }
            if (!right(fresh, digest)) {
                throw new IOException("what was written to " + fresh + " is not the package's engine");
            }
            Files.move(fresh, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } finally {
            Files.deleteIfExists(fresh);
        }
        return startable(file);
    }

    /** A file that the system would start, which is not so of any on a file system that is mounted noexec. */
    private static Path startable(Path file) throws IOException {
        if (!Files.isExecutable(file)) {
            throw new IOException(file + " cannot be executed: its file system is mounted noexec, or the system forbids it");
        }
        return file;
    }

    /** Makes a folder that only this user can write, or finds it to be so. */
    private static void makeOwn(Path folder) throws IOException {
        if (!Files.isDirectory(folder, LinkOption.NOFOLLOW_LINKS)) {
            Path parent = folder.getParent();
            if (parent != null) {
                Files.createDirectories(parent);
            }
            try {
                Files.createDirectory(folder, permissions(parent));
            } catch (FileAlreadyExistsException e) {
                // Somebody was faster, or it is a link.
            }
        }
        if (!Files.isDirectory(folder, LinkOption.NOFOLLOW_LINKS)) {
            throw new IOException(folder + " is no folder");
        }
        if (!posix(folder)) {
            return;
        }
        Path probe = Files.createTempFile(folder, "owner", null);
        try {
            if (!Files.getOwner(probe).equals(Files.getOwner(folder, LinkOption.NOFOLLOW_LINKS))) {
                throw new IOException(folder + " is another user's: " + Files.getOwner(folder, LinkOption.NOFOLLOW_LINKS).getName());
            }
        } finally {
            Files.deleteIfExists(probe);
        }
        Set<PosixFilePermission> may = Files.getPosixFilePermissions(folder, LinkOption.NOFOLLOW_LINKS);
        if (may.contains(PosixFilePermission.GROUP_WRITE) || may.contains(PosixFilePermission.OTHERS_WRITE)) {
            throw new IOException(folder + " can be written by others: its permissions are " + PosixFilePermissions.toString(may) + ", want rwx------");
        }
    }

    private static FileAttribute<?>[] permissions(Path where) {
        return posix(where) ? new FileAttribute<?>[] {PosixFilePermissions.asFileAttribute(MINE)} : new FileAttribute<?>[0];
    }

    private static boolean posix(Path path) {
        return path != null && path.getFileSystem().supportedFileAttributeViews().contains("posix");
    }

    /** Whether a file is there, and has that hash. */
    private static boolean right(Path file, String digest) throws IOException {
        if (!Files.isRegularFile(file, LinkOption.NOFOLLOW_LINKS)) {
            return false;
        }
        try (InputStream in = Files.newInputStream(file)) {
            MessageDigest sha = MessageDigest.getInstance("SHA-256");
            byte[] part = new byte[128 << 10];
            for (int n = in.read(part); n >= 0; n = in.read(part)) {
                sha.update(part, 0, n);
            }
            return HexFormat.of().formatHex(sha.digest()).equalsIgnoreCase(digest);
        } catch (NoSuchAlgorithmException e) {
            throw new IOException(e); // each JDK has it
        }
    }
}
