using System;

namespace Libvegas
{
    /// <summary>What went wrong, and what to do about it. There is a class for each code.</summary>
    public abstract partial class VegasException : Exception
    {
        private readonly string code;
        private readonly string text;
        private readonly string? remedy;
        private readonly bool unknown;
        private bool looked;

        private protected VegasException(string code, string text, string? remedy, bool unknown, Exception? cause)
            : base(text, cause)
        {
            this.code = code;
            this.text = text;
            this.remedy = remedy;
            this.unknown = unknown;
        }

        /// <summary>One word, which all languages have in common.</summary>
        public string Code => Look(code);

        /// <summary>The message without the remedy.</summary>
        public string Text => Look(text);

        /// <summary>What to do.</summary>
        public string? Remedy => Look(remedy);

        /// <summary>Whether the record may be in the stream all the same.</summary>
        public bool Unknown => Look(unknown);

        /// <inheritdoc/>
        public override string Message => Look(Words);

        /// <summary>Whether somebody has: an exception of a record that nobody has looked at is logged,
        /// and thrown by FlushAsync and CloseAsync. await throws it, which leaves a stack in it.</summary>
        internal bool Looked => looked || base.StackTrace != null;

        /// <summary>The message, without looking at it.</summary>
        internal string Words => remedy == null ? text : text + ": " + remedy;

        /// <summary>The same for another one to throw, or with other words.</summary>
        internal VegasException Again(string? words = null, string? otherRemedy = null, bool? otherUnknown = null) =>
            Of(code, words ?? text, otherRemedy ?? remedy, otherUnknown ?? unknown, InnerException);

        internal string PlainCode => code;

        internal string PlainText => text;

        internal string? PlainRemedy => remedy;

        internal bool PlainUnknown => unknown;

        private T Look<T>(T value)
        {
            looked = true;
            return value;
        }
    }
}
