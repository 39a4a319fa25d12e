using System.Runtime.CompilerServices;

[assembly: InternalsVisibleTo("Libvegas.Extensions")]
[assembly: InternalsVisibleTo("Tests")]
