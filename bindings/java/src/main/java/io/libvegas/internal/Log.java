package io.libvegas.internal;

import java.lang.System.Logger.Level;
import java.util.Map;

/** The logger "vegas", for the engine's lines, too. */
public final class Log {
    public static final System.Logger LOGGER = System.getLogger("vegas");

    private Log() {}

    /** The engine's word for what is logged here; what lies below need not cross. */
    static String wanted() {
        if (LOGGER.isLoggable(Level.DEBUG)) {
            return "debug";
        }
        if (LOGGER.isLoggable(Level.INFO)) {
            return "info";
        }
        return LOGGER.isLoggable(Level.WARNING) ? "warn" : "error";
    }

    /** Logs a line of the engine's. */
    static void write(Map<String, Object> event) {
        Level level = switch (String.valueOf(event.get("level"))) {
            case "debug" -> Level.DEBUG;
            case "warn" -> Level.WARNING;
            case "error" -> Level.ERROR;
            default -> Level.INFO;
        };
        if (!LOGGER.isLoggable(level)) {
            return;
        }
        StringBuilder line = new StringBuilder(String.valueOf(event.get("text")));
        if (event.get("attrs") instanceof Map<?, ?> attrs) {
            attrs.forEach((k, v) -> line.append(' ').append(k).append('=').append(v));
        }
        LOGGER.log(level, line.toString());
    }

    public static void warn(String text) {
        LOGGER.log(Level.WARNING, text);
    }

    public static void error(String text) {
        LOGGER.log(Level.ERROR, text);
    }

    /**
     * An error at the program's end. The loggers that the JDK brings along have ended
     * themselves by then.
     */
    public static void last(String text) {
        String name = LOGGER.getClass().getName();
        if (name.startsWith("sun.") || name.startsWith("jdk.")) {
            System.err.println("vegas: " + text);
        } else {
            error(text);
        }
    }
}
